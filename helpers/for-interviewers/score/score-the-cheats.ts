import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readKata, tiers } from '../../foundations/catalogue/catalogue.ts';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { type MysqlServer } from '../../mysql-server/source.ts';
import type { Sandbox } from '../../judging/subject/sandbox.ts';
import { startServer } from '../../mysql-server/start-server.ts';
import { adoptSettings, settings } from '../../foundations/settings.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { collect } from './collect.ts';
import { htmlReport } from './report-html.ts';
import { junitReport } from './report-junit.ts';
import { markdownReport } from './report-markdown.ts';
import { terminalReport } from './report-terminal.ts';
import { type Score, defaultLimits } from './score.ts';
import { scoreCandidate } from './score-candidate.ts';

/** Modules that cheat, each with a header that tells its kata, what it still breaks, and what the run has to say. */
const corpus = join(repositoryRoot, 'tests', 'tampering');
const laneCount = 2;
/** A container takes half a second to start, and some of these need one for each promise. */
const limits = { 'permission-model': { ...defaultLimits, kataMs: 60_000 }, docker: defaultLimits };
const patienceMs = 900_000;

/** What a candidate might send around a file that cheats: none of it is read. */
const around = (slug: string) => ({
  'package.json': JSON.stringify({ type: 'commonjs', scripts: { postinstall: 'touch /tmp/kata-forged-score.json' } }),
  '.npmrc': 'ignore-scripts=false\n',
  'vitest.config.ts': 'process.exit(0);\n',
  [`tests/${slug}/${slug}.test.ts`]: "import { test } from 'vitest';\ntest('all is well', () => {});\n",
  [`katas/${slug}/README.md`]: '---\nneeds: [mysql, child-process, worker]\n---\n',
  [`solutions/${slug}/${slug}.ts`]: 'export {};\n',
});

/**
 * Registers the tests of one file: every cheat of tests/tampering, held by this sandbox, gets nothing for what it did not solve, and the
 * run says why. They are skipped with the reason when something is missing.
 */
export async function testTheCheats(sandbox: Sandbox, missing = ''): Promise<void> {
  // Other tests run beside: a process that is started ahead costs more than the wait for one.
  adoptSettings({ ...settings(), keepsSpares: false });
  const names = (await readdir(corpus)).map((file) => file.replace(/\.ts$/, '')).sort();
  const folder = await testFolder((dispose) =>
    afterAll(async () => {
      await lanes;
      await dispose();
    }),
  );
  const jobs = names.map((name) => ({ name, scored: Promise.withResolvers<Score>() }));
  for (const { scored } of jobs) scored.promise.catch(() => undefined);
  /** Where the servers came from. */
  const sources = new Set<string>();
  const lanes = missing ? undefined : startLanes();

  test('there are at least fifteen', () => {
    expect(names.length).toBeGreaterThanOrEqual(15);
  });

  const where = `held by ${sandbox}${missing && ` (not tried here: ${missing})`}`;
  describe.skipIf(missing).each(jobs)(`$name, ${where}`, { timeout: patienceMs }, ({ name, scored }) => {
    test('gets nothing for what it did not solve, and the run says why', async ({ skip }) => {
      const { breaks, says, needsPort } = await readHeader(name);

      const score = await scored.promise;
      if (needsPort && sources.has('docker'))
        skip('The port that a server in a container knows is not the one on this machine.');

      const [kata] = score.katas;
      const asked = askedOf(kata!.slug);
      const held = kata!.promises.filter((promise) => promise.held).map(({ number }) => number);
      // There is no way to the server but the judge's.
      const isShutOut = needsPort && sandbox === 'docker';
      const expected = isShutOut || !breaks ? [] : asked.filter((number) => !breaks.includes(number));
      expect(held, `promises held, of ${asked.join(', ')}; trouble: ${kata!.trouble}`).toEqual(expected);
      if (isShutOut) return;
      const told = kata!.promises
        .map(({ number, seen }) => (asked.includes(number) ? seen : undefined) ?? '')
        .join('\n');
      expect(told, 'what was seen').toMatch(new RegExp(says));
      expect(score.total).toBe(breaks ? score.total : 0);
      expect(JSON.stringify(kata!.promises), 'what the module says that it read').not.toContain('read: ');
    });

    test('does nothing to those who read of it', async () => {
      const score = await scored.promise;

      const reports = [
        terminalReport(score, { isColored: false, files: [] }),
        markdownReport(score),
        htmlReport(score),
        junitReport(score),
        JSON.stringify(score, undefined, 2),
      ];

      for (const report of reports) {
        expect(report).not.toMatch(/^[^\S\n]*::/m);
        expect(report).not.toContain('##[');
        expect(report).not.toMatch(
          /[\u0000-\u0008\u000b-\u001f\u007f\u0080-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffe\uffff]/,
        );
      }
      expect(reports[2]).not.toMatch(/<script|<img/);
    });
  });

  /** A few candidates side by side, each lane with a server of its own; one after the other in the order of the tests. */
  async function startLanes(): Promise<void> {
    const waiting = [...jobs];
    const lane = async () => {
      let server: MysqlServer | undefined;
      try {
        for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
          const { resolve, reject } = job.scored;
          await scoreOne(job.name, async () => (server ??= await newServer())).then(resolve, reject);
        }
      } finally {
        await server?.[Symbol.asyncDispose]();
      }
    };
    await Promise.all(Array.from({ length: laneCount }, lane));
  }

  async function newServer(): Promise<MysqlServer> {
    const server = await startServer();
    sources.add(server.source);
    return server;
  }

  async function scoreOne(name: string, server: () => Promise<MysqlServer>): Promise<Score> {
    const candidate = join(folder, sandbox, name);
    const { slug } = await readHeader(name);
    const files = { ...around(slug), [`katas/${slug}/${slug}.ts`]: await readFile(join(corpus, `${name}.ts`), 'utf8') };
    for (const [file, text] of Object.entries(files)) {
      await mkdir(join(candidate, file, '..'), { recursive: true });
      await writeFile(join(candidate, file), text);
    }
    return await scoreCandidate(await collect(candidate, [slug]), {
      limits: limits[sandbox],
      sandbox,
      seed: 1,
      promises: askedOf(slug),
      server,
    });
  }
}

/** The first promise of each tier: enough to see whether a cheat gets anything. */
function askedOf(slug: string): number[] {
  const { promises } = readKata(slug);
  return tiers.map((name) => promises.find(({ tier }) => tier === name)!.number);
}

async function readHeader(
  name: string,
): Promise<{ slug: string; breaks: number[] | undefined; says: string; needsPort: boolean }> {
  const text = await readFile(join(corpus, `${name}.ts`), 'utf8');
  const field = (key: string) => new RegExp(`^${key}: (.+)$`, 'm').exec(text)?.[1]?.trim();
  const [breaks, tries, says] = [field('breaks'), field('tries'), field('says')];
  if (breaks === undefined || tries === undefined || says === undefined)
    throw new Error(`tests/tampering/${name}.ts lacks "breaks", "tries" or "says" in its header.`);
  return {
    slug: field('kata') ?? 'race-condition',
    breaks: breaks === 'all' ? undefined : (JSON.parse(breaks) as number[]),
    says,
    needsPort: field('needs') === 'port',
  };
}
