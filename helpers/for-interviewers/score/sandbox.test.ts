import { cp, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kataSlugs } from '../../foundations/catalogue/catalogue.ts';
import { runHouseCommand } from '../../foundations/command-line/run-house-command.ts';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { noContainers } from '../../judging/subject/container/prepare-containers.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { readScore } from './read-score.ts';
import type { Score } from './score.ts';

const missing = (await noContainers()) ?? '';

// A judge that reaches its subject without asking where it is would see nothing but broken promises here.
describe.skipIf(missing)(`scored in a container${missing && ` (not judged here: ${missing})`}`, () => {
  let score: Score;

  beforeAll(async () => {
    const folder = await testFolder(afterAll);
    const [candidate, out] = [join(folder, 'candidate'), join(folder, 'out')];
    for (const slug of kataSlugs()) {
      const file = join('katas', slug, `${slug}.ts`);
      await mkdir(join(candidate, dirname(file)), { recursive: true });
      await cp(join(repositoryRoot, 'solutions', slug, `${slug}.ts`), join(candidate, file));
    }
    const { code, stderr } = await runHouseCommand('for-interviewers/score', [
      candidate,
      '--sandbox',
      'docker',
      '--out',
      out,
    ]);
    if (code !== 0) throw new Error(`score ended with ${code}: ${stderr}`);
    score = readScore(join(out, 'score.json'));
    // Ten katas, and the limit that score itself has for a whole run.
  }, 900_000);

  test.for(kataSlugs())('the solution of %s keeps every promise', (slug) => {
    const kata = score.katas.find((one) => one.slug === slug)!;

    expect(kata.promises.filter(({ held }) => !held).map(({ text, seen }) => ({ text, seen }))).toEqual([]);
    expect(kata).toMatchObject({ score: 100, judgedWith: { sandbox: 'docker' } });
  });
});
