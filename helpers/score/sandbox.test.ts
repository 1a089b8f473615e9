import { cp, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { kataSlugs } from '../catalogue/catalogue.ts';
import { leashedFolder } from '../leash/leashed-folder.ts';
import { noContainers } from '../subject/prepare-containers.ts';
import { repositoryRoot } from '../subject/target.ts';
import { runHouseCommand } from '../command/run-house-command.ts';
import { readScore } from './read-score.ts';

const missing = (await noContainers()) ?? '';

// A judge that reaches its subject without asking where it is would see nothing but broken promises here.
describe.skipIf(missing)(`scored in a container${missing && ` (not judged here: ${missing})`}`, () => {
  test.for(kataSlugs())('the solution of %s keeps every promise', { timeout: 240_000 }, async (slug) => {
    await using place = await leashedFolder(tmpdir(), 'kata-sandbox-test-');
    const file = join('katas', slug, `${slug}.ts`);
    await mkdir(join(place.path, 'candidate', dirname(file)), { recursive: true });
    await cp(join(repositoryRoot, 'solutions', slug, `${slug}.ts`), join(place.path, 'candidate', file));
    const out = join(place.path, 'out');

    const options = ['--katas', slug, '--sandbox', 'docker', '--out', out];
    const { code, stderr } = await runHouseCommand('score', [join(place.path, 'candidate'), ...options]);

    expect(code, stderr).toBe(0);
    const [kata] = readScore(join(out, 'score.json')).katas;
    expect(kata!.promises.filter(({ held }) => !held).map(({ text, seen }) => ({ text, seen }))).toEqual([]);
    expect(kata).toMatchObject({ slug, score: 100, judgedWith: { sandbox: 'docker' } });
  });
});
