import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { kataSlugs, readKata, tiers } from '../../foundations/catalogue/catalogue.ts';
import { adoptSettings, settings } from '../../foundations/settings.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { noContainers } from '../../judging/subject/container/prepare-containers.ts';
import type { MysqlServer } from '../../mysql-server/source.ts';
import { startServer } from '../../mysql-server/start-server.ts';
import { collect } from './collect.ts';
import { scoreCandidate } from './score-candidate.ts';
import { defaultLimits } from './score.ts';

const missing = (await noContainers()) ?? '';
// Other tests run beside: a process that is started ahead costs more than the wait for one.
adoptSettings({ ...settings(), keepsSpares: false });
let server: MysqlServer | undefined;
afterAll(() => server?.[Symbol.asyncDispose]());

// A judge that reaches its subject without asking where it is would see nothing but broken promises here.
describe.skipIf(missing)(`scored in a container${missing && ` (not judged here: ${missing})`}`, () => {
  test.for(kataSlugs())(
    'the solution of %s keeps the last promise of each tier',
    { timeout: defaultLimits.kataMs },
    async (slug) => {
      const { promises } = readKata(slug);
      const asked = tiers.map((name) => promises.findLast(({ tier }) => tier === name)!.number);

      const solution = join(repositoryRoot, 'solutions', slug, `${slug}.ts`);
      const score = await scoreCandidate(await collect(solution, [slug]), {
        limits: defaultLimits,
        sandbox: 'docker',
        seed: 1,
        promises: asked,
        server: async () => (server ??= await startServer()),
      });

      const [kata] = score.katas;
      const judged = kata!.promises.filter(({ number }) => asked.includes(number));
      expect(judged.filter(({ held }) => !held).map(({ text, seen }) => ({ text, seen }))).toEqual([]);
      expect(kata).toMatchObject({ judgedWith: { sandbox: 'docker' } });
    },
  );
});
