import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { cp, mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { runHouseCommand } from '../../foundations/command-line/run-house-command.ts';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { until } from '../../foundations/waiting/until.ts';
import { noContainers } from '../../judging/subject/container/prepare-containers.ts';
import { faultOfScore } from './read-score.ts';
import type { Score } from './score.ts';

// `npm run score` in a house of two small katas, "addition" and "product", that need no server.

const readme = (title: string) => `---
title: ${title}
track: Arithmetic
level: junior
minutes: 5
needs: []
starterBreaks: [1]
---

# ${title}

## Promises

### core

1. It counts.

### robust

2. It takes any order.
`;
const judge = (slug: string, result: number) => `import { describe, expect, onTestFinished, test } from 'vitest';
import { startSubject } from '../../helpers/judging/subject/start-subject.ts';
import { chart } from '../../helpers/judging/verdict/chart.ts';

describe('core', () => {
  test('It counts.', async () => {
    chart({ title: 'Counted', unit: 'figures', xLabel: 'call', series: [{ name: 'result', points: [[1, ${result}]] }] });
    expect(await count(2, 3), 'the result of 2 and 3').toBe(${result});
  });
});

describe('robust', () => {
  test('It takes any order.', async () => {
    expect(await count(3, 2), 'the result of 3 and 2').toBe(await count(2, 3));
  });
});

async function count(a, b) {
  const subject = await startSubject('${slug}');
  onTestFinished(() => subject[Symbol.asyncDispose]());
  return await subject.evaluate((kata, args) => kata.count(...args), [a, b]);
}
`;
const sum = 'export const count = (a: number, b: number) => a + b;\n';
const product = 'export const count = (a: number, b: number) => a * b;\n';
const starter = 'export const count = (a: number, b: number) => a + b + 10;\n';
const joined =
  '/*\nbreaks: [1, 2]\nwhy: It joins the digits: 2 and 3 are 23.\nask: What is 2 and 3?\n*/\nexport const count = (a: number, b: number) => Number(`${a}${b}`);\n';
const hangs = 'export const count = (): Promise<number> => new Promise(() => setInterval(() => {}, 1000));\n';

const root = await testFolder(afterAll);
const house = join(root, 'house');
let jane: string;
let temporary: string;
let count = 0;
const noContainer = (await noContainers()) ?? '';

beforeAll(async () => {
  await mkdir(house);
  for (const name of ['helpers', 'package.json', 'package-lock.json', 'tsconfig.json'])
    await cp(join(repositoryRoot, name), join(house, name), { recursive: true });
  await symlink(join(repositoryRoot, 'node_modules'), join(house, 'node_modules'), 'junction');
  for (const [slug, right, result] of [
    ['addition', sum, 5],
    ['product', product, 6],
  ] as const) {
    await put(house, `katas/${slug}/README.md`, readme(slug));
    await put(house, `katas/${slug}/${slug}.ts`, starter);
    await put(house, `solutions/${slug}/${slug}.ts`, right);
    await put(house, `tests/${slug}/${slug}.test.ts`, judge(slug, result));
    await put(house, `tests/${slug}/submissions/rejected/joins.ts`, joined);
  }
});
beforeEach(async () => {
  jane = join(root, `jane-${++count}`);
  temporary = join(root, `tmp-${count}`);
  await mkdir(temporary);
  await mkdir(jane);
});

test('a right answer, a missing one, four reports, and exit code 1 below --min', async () => {
  await put(jane, 'katas/addition/addition.ts', sum);

  const { code, stdout } = await score([jane, '--min', '50.1']);

  const result = await readResult();
  expect(faultOfScore(result)).toBeUndefined();
  expect((await readdir(out())).sort()).toEqual(['junit.xml', 'score.html', 'score.json', 'score.md']);
  expect(result.total).toBe(50);
  expect(result.katas.map(({ slug, score: value, trouble }) => [slug, value, trouble])).toEqual([
    ['addition', 100, null],
    ['product', 0, 'katas/product is missing.'],
  ]);
  expect(result.katas[0]).toMatchObject({
    file: { path: 'katas/addition/addition.ts', bytes: sum.length },
    diagnosis: { kind: 'green', sentence: expect.stringContaining('Its text is that of solution') },
    judgedWith: { node: process.version, mysql: null, sandbox: 'permission-model' },
  });
  expect(result.katas[0]!.promises[0]!.charts).toMatchObject([{ title: 'Counted', series: [{ points: [[1, 5]] }] }]);
  expect(result.katas[1]!.promises.map(({ held, seen }) => [held, seen])).toEqual([
    [false, 'katas/product is missing.'],
    [false, 'katas/product is missing.'],
  ]);
  expect(stdout).toMatch(/^ {2}100 {2}addition {2}core 1 of 1, robust 1 of 1$/m);
  expect(stdout).toMatch(/^ {4}0 {2}product {2}core 0 of 1, robust 0 of 1\n {7}│ katas\/product is missing\.$/m);
  expect(stdout).toMatch(/^ {3}50 {2}of 100/m);
  expect(code).toBe(1);
  expect(readdirSync(temporary)).toEqual([]);
});

test.skipIf(noContainer)(
  `with --sandbox docker, the same score comes out of containers${noContainer && ` (not judged here: ${noContainer})`}`,
  async () => {
    await put(jane, 'katas/addition/addition.ts', sum);
    await put(jane, 'katas/product/product.ts', sum);

    const { code, stderr } = await score([jane, '--sandbox', 'docker']);

    const result = await readResult();
    expect(
      result.katas.map((kata) => [kata.slug, kata.score, kata.judgedWith.sandbox]),
      stderr,
    ).toEqual([
      ['addition', 100, 'docker'],
      ['product', expect.any(Number), 'docker'],
    ]);
    expect(result.katas[1]!.promises[0]!.seen).toContain('the result of 2 and 3: expected 5 to be 6');
    expect(code).toBe(0);
    expect(readdirSync(temporary)).toEqual([]);
  },
);

test('a wrong answer is diagnosed; one that does not load scores 0 with its reason, and the score is still a success', async () => {
  await put(jane, 'katas/addition/addition.ts', joined.replace(/^\/\*[^]*?\*\/\n/, '// Mine.\n'));
  await put(jane, 'katas/product/product.ts', "console.log('::notice::x'); throw new Error('##[error]not today');\n");

  const { code, stdout, stderr } = await score([jane, '--min', '0']);

  const [addition, other] = (await readResult()).katas;
  expect(addition!.diagnosis.sentence).toBe(
    'It breaks exactly what joins breaks: ask "What is 2 and 3?" Its text is that of joins, but for comments, spacing and names.',
  );
  expect(other).toMatchObject({ score: 0, diagnosis: { kind: 'unjudged' } });
  for (const promise of other!.promises) {
    expect(promise.seen).toBe('katas/product/product.ts threw while loading: Error: # #[error]not today');
    expect(promise.stack).toMatch(/^ +at .*katas\/product\/product\.ts:1:\d+/);
    expect(promise.printed).toBe('\\::notice::x\n');
  }
  expect(stdout + stderr).not.toMatch(/^\s*::|##\[/m);
  expect(code).toBe(0);
});

test('a test that is missing, skipped or not in the README counts as broken', async () => {
  const file = 'tests/addition/addition.test.ts';
  const text = judge('addition', 5);
  await put(jane, 'katas/addition/addition.ts', sum);
  try {
    await put(
      house,
      file,
      text
        // Nothing is skipped here: this is text of the small house's judge, and the score has to notice it.
        .replace("test('It counts.'", "test.skip('It counts.'")
        .replace("test('It takes any order.'", "test('It takes all orders.'"),
    );
    await score([jane, '--katas', 'addition']);
  } finally {
    await put(house, file, text);
  }

  const [kata] = (await readResult()).katas;
  expect(kata!.promises.map(({ number, text: said, held, seen }) => [number, said, held, seen])).toEqual([
    [1, 'It counts.', false, 'the test was skipped'],
    [2, 'It takes any order.', false, 'the judge has no test of this promise'],
    [3, 'It takes all orders.', false, 'the judge has this test, and the README has no such promise'],
  ]);
  expect(kata!.score).toBe(0);
});

test('limits: for a promise, for a kata; the rest is still scored', async () => {
  await put(jane, 'katas/addition/addition.ts', hangs);
  await put(jane, 'katas/product/product.ts', product);

  const other = join(root, 'by-kata');
  const [one, two] = await Promise.all([
    score([jane, '--promise-limit', '1']),
    score([jane, '--katas', 'addition', '--kata-limit', '2', '--out', other]),
  ]);
  const [byPromise, byKata] = [await readResult(), await readResult(other)];

  expect(byPromise.katas.map(({ score: value }) => value)).toEqual([0, 100]);
  expect(byPromise.katas[0]!.promises.map(({ seen }) => seen)).toEqual([
    'not judged: the limit of 1 s for one promise was met',
    'not judged: the limit of 1 s for one promise was met',
  ]);
  expect(byPromise.katas[0]!.promises.map(({ judged }) => judged)).toEqual([false, false]);
  expect([byPromise.katas[0]!.stoppedBy, byKata.katas[0]!.stoppedBy]).toEqual(['limit', 'limit']);
  for (const { code, stdout, stderr } of [one, two]) {
    expect(code).toBe(3);
    expect(stdout).toContain('of 100 at least');
    expect(stderr).toMatch(/A limit was met, so not everything was judged in addition;/);
  }
  expect(byKata.katas[0]).toMatchObject({ trouble: 'the limit of 2 s for one kata was met', score: 0 });
  expect(byKata.katas[0]!.promises[0]!.seen).toBe('not judged: the limit of 2 s for one kata was met');
});

test('the limit for the whole: what is left is not judged', async () => {
  await put(jane, 'katas/addition/addition.ts', hangs);
  await put(jane, 'katas/product/product.ts', product);

  await score([jane, '--limit', '2']);

  const reason = 'the limit of 2 s for the whole was met';
  const { katas } = await readResult();
  expect(katas.map(({ trouble }) => trouble)).toEqual([reason, reason]);
  expect(katas.flatMap(({ promises }) => promises.map(({ judged }) => judged))).toEqual([false, false, false, false]);
});

test('without --katas only what was handed out is scored, as handout.json says, which chooses among known katas alone', async () => {
  await put(jane, 'katas/addition/addition.ts', sum);
  await put(jane, 'handout.json', JSON.stringify({ katas: ['addition', '../x', 7] }));

  const { code } = await score([jane, '--seed', '41']);

  const { total, katas, notes } = await readResult();
  expect({ code, total, slugs: katas.map(({ slug }) => slug) }).toEqual({ code: 0, total: 100, slugs: ['addition'] });
  expect(notes).toEqual(['Scored are the katas that the candidate’s handout.json names: addition.']);
  expect(katas[0]!.judgedWith.seed).toBe(41);
});

test('an untouched starter is worth 0, though it holds a promise', async () => {
  await put(jane, 'katas/addition/addition.ts', starter);

  await score([jane, '--katas', 'addition']);

  const { total, katas } = await readResult();
  expect(total).toBe(0);
  expect(katas[0]!.promises.map(({ held, guard, weight }) => [held, guard, weight])).toEqual([
    [false, false, 100],
    [true, true, 33.33],
  ]);
});

test('what the module does not export is said', async () => {
  await put(jane, 'katas/addition/addition.ts', '// Later.\n');
  const { stdout } = await score([jane, '--katas', 'addition']);

  expect(stdout).toContain('It does not export count.');
  expect((await readResult()).katas[0]!.diagnosis.kind).toBe('incomplete');
});

test('parts of one candidate make one score', async () => {
  await put(jane, 'katas/product/product.ts', product);
  await score([jane, '--out', join(root, 'whole')]);
  const whole = await readResult(join(root, 'whole'));
  const parts = whole.katas.map((_kata, index) => join(root, `part-${index}.json`));
  for (const [index, kata] of whole.katas.entries())
    await writeFile(parts[index]!, JSON.stringify({ ...whole, katas: [kata], total: kata.score }));

  const { code } = await score(['--merge', ...parts.reverse(), '--min', '50']);

  expect(code).toBe(0);
  expect(await readResult()).toEqual({ ...whole, durationMs: 2 * whole.durationMs });
  expect(await score(['--merge', parts[0]!, parts[0]!, '--out', join(root, 'never')])).toMatchObject({
    code: 2,
    stderr: 'product was judged in two of these parts. Leave one of them out.\n',
  });
});

describe('bad input is one sentence and exit code 2, and nothing is made', () => {
  test.each<[string, () => string[], RegExp]>([
    ['no source', () => [], /missing required argument 'source'/],
    ['a source that is not there', () => [join(jane, 'nothing')], /^There is no .*nothing\. Name a folder/],
    ['an empty folder', () => [jane], /has no kata in it: expected katas\/<kata>\/<kata>\.ts\./],
    ['a parent folder of several', () => [root], /has no kata in it/],
    ['a seed that is no number', () => [jane, '--seed', 'x'], /^--seed is "x"/],
    ['an unknown kata', () => [jane, '--katas', 'additon'], /Did you mean addition\?/],
    ['a --min that is no score', () => [jane, '--min', '101'], /It must be a number from 0 to 100/],
    ['an unknown sandbox', () => [jane, '--sandbox', 'none'], /permission-model/],
    ['two candidates', () => [jane, jane], /^One candidate at a time: 2 were named/],
    [
      'a folder that holds something',
      () => [jane, '--out', house],
      /is there and not empty; nothing in it is overwritten/,
    ],
  ])('%s', async (_what, args, sentence) => {
    const { code, stdout, stderr } = await score(args());

    expect(stderr.replace(/^collecting\n/, '')).toMatch(sentence);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(readdirSync(temporary)).toEqual([]);
  });
});

test.runIf(process.platform === 'linux').each(['SIGINT', 'SIGKILL'] as const)(
  'after %s no process, no folder is left',
  async (signal) => {
    await put(jane, 'katas/addition/addition.ts', hangs);
    const child = spawn(
      process.execPath,
      [join(house, 'helpers/for-interviewers/score/main.ts'), jane, '--katas', 'addition', '--out', out()],
      { cwd: house, env: { ...process.env, ...env() }, stdio: 'ignore' },
    );
    const ended = new Promise((resolve) => child.once('close', resolve));
    const hosts = () => processesOf(join(house, 'helpers/judging/subject/inside/host.js'));
    expect(await until(() => hosts().length > 0 && readdirSync(temporary).length > 0, 30_000), 'it is at work').toBe(
      true,
    );

    child.kill(signal);
    await ended;

    await until(() => readdirSync(temporary).length + processesOf(house).length === 0, 20_000);
    expect(readdirSync(temporary)).toEqual([]);
    expect(processesOf(house)).toEqual([]);
  },
);

test('many candidates in a row: nothing is left, and memory is flat', async () => {
  await put(jane, 'katas/addition/addition.ts', joined);
  await put(
    house,
    'many.ts',
    `import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { collect } from './helpers/for-interviewers/score/collect.ts';
import { scoreCandidate } from './helpers/for-interviewers/score/score-candidate.ts';
import { defaultLimits } from './helpers/for-interviewers/score/score.ts';
const heap: number[] = [];
for (let round = 0; round < 4; round++) {
  const collected = await collect(${JSON.stringify(jane)}, ['addition']);
  const { total } = await scoreCandidate(collected, { limits: defaultLimits, sandbox: 'permission-model', seed: 1, server: () => Promise.reject(new Error()) });
  if (total !== 0) throw new Error('scored ' + total);
  globalThis.gc!();
  heap.push(process.memoryUsage().heapUsed);
}
console.log(JSON.stringify({ heap, left: readdirSync(tmpdir()), resources: process.getActiveResourcesInfo().filter((name) => /Process|Timeout/.test(name)) }));
`,
  );
  const child = spawn(process.execPath, ['--expose-gc', join(house, 'many.ts')], {
    cwd: house,
    env: { ...process.env, ...env() },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  for await (const chunk of child.stdout) text += String(chunk);

  const { heap, left, resources } = JSON.parse(text) as { heap: number[]; left: string[]; resources: string[] };
  expect(left, 'in the temporary folder').toEqual([]);
  expect(resources.length, `processes and timers: ${resources.join(', ')}`).toBeLessThanOrEqual(1);
  expect(heap[3]! - heap[1]!, `growth over two candidates, of ${heap[1]} bytes`).toBeLessThan(1024 * 1024);
});

async function put(where: string, file: string, text: string): Promise<void> {
  await mkdir(dirname(join(where, file)), { recursive: true });
  await writeFile(join(where, file), text);
}

function out(): string {
  return join(root, `out-${count}`);
}

function env(): NodeJS.ProcessEnv {
  return { TMPDIR: temporary, INIT_CWD: undefined };
}

async function score(args: readonly string[]) {
  const asked = args.includes('--out') ? args : [...args, '--out', out()];
  return await runHouseCommand('for-interviewers/score', asked, env(), house);
}

async function readResult(folder = out()): Promise<Score> {
  return JSON.parse(await readFile(join(folder, 'score.json'), 'utf8')) as Score;
}

/** Ids of processes whose command line has this in it; but for the keeper, which ends by itself. */
function processesOf(text: string): string[] {
  return readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const line = readFileSync(`/proc/${name}/cmdline`, 'utf8');
      return line.includes(text) && !line.includes('esbuild');
    } catch {
      return false;
    }
  });
}
