import { cp, mkdtemp, readFile, readdir, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { runHouseCommand } from '../command/run-house-command.ts';
import { repositoryRoot } from '../subject/target.ts';

// `npm run verify` in a copy of the house, where one thing at a time is made wrong. Few submissions, so that it is quick.

const copy = await realpath(await mkdtemp(join(tmpdir(), 'kata-verify-')));
afterAll(() => rm(copy, { recursive: true, force: true }));
const submissions = join(copy, 'tests/race-condition/submissions');
const naive = join(submissions, 'rejected/naive.ts');
const readme = join(copy, 'katas/race-condition/README.md');
const kept = ['accepted/batched.ts', 'accepted/for-update.ts', 'accepted/compare-and-swap.ts', 'rejected/naive.ts'];

beforeEach(async () => {
  await rm(copy, { recursive: true, force: true });
  for (const name of [
    'katas',
    'solutions',
    'tests',
    'helpers',
    'package.json',
    'package-lock.json',
    'vitest.config.ts',
    'tsconfig.json',
  ]) {
    await cp(join(repositoryRoot, name), join(copy, name), { recursive: true });
  }
  await symlink(join(repositoryRoot, 'node_modules'), join(copy, 'node_modules'));
  for (const kind of ['accepted', 'rejected']) {
    for (const name of await readdir(join(submissions, kind))) {
      if (!kept.includes(`${kind}/${name}`)) await rm(join(submissions, kind, name));
    }
  }
});

describe('what it finds', () => {
  test('a wrong claim, too few submissions, a promise that nobody has seen broken, other words: each is told, exit code 1', async () => {
    await rewrite(naive, 'breaks: [1, 2, 3, 8]', 'breaks: [1, 2, 4, 8]');
    await rewrite(readme, 'close() leaves no connection open.', 'close() leaves nothing open.');
    await rm(join(copy, 'solutions/race-condition/NOTES.md'));

    const { code, stdout } = await verify();

    expect(code).toBe(1);
    expect(stdout).toMatch(/^rejected\/naive +✗ ✗ {3}! ! · · {2}· ✗ · .*NOT AS CLAIMED$/m);
    expect(stdout).toMatch(
      /naive\.ts is not judged as it claims:\n +promise 3 was to hold, and broke \(round 1 of 1\)\n.*process A stopped/,
    );
    expect(stdout).toContain('promise 4 was to break, and held');
    expect(stdout).toContain('race-condition has 1 rejected submissions; it needs 6.');
    expect(stdout).toContain('No rejected submission of race-condition breaks promise 5');
    expect(stdout).toContain(
      'Promise 6 of race-condition: the README says robust: "close() leaves nothing open.", the judge robust: "close() leaves no connection open."',
    );
    expect(stdout).toContain('solutions/race-condition/NOTES.md is missing.');
    expect(stdout).toMatch(/\n5 passed, 2 failed\n$/);
  });

  test('a judge that a right answer fails, a starter that is green, and a skipped test', async () => {
    await cp(
      join(copy, 'solutions/race-condition/race-condition.ts'),
      join(copy, 'katas/race-condition/race-condition.ts'),
    );
    await rewrite(join(copy, 'tests/race-condition/race-condition.test.ts'), "test('close()", "test.skip('close()");
    await cp(naive, join(submissions, 'accepted/naive.ts'));

    const { code, stdout } = await verify();

    expect(code).toBe(1);
    expect(stdout).toMatch(/^starter .*NOT AS CLAIMED$/m);
    expect(stdout).toMatch(/^accepted\/naive .*NOT AS CLAIMED$/m);
    expect(stdout).toMatch(/^solution .*!.*NOT AS CLAIMED$/m);
    expect(stdout).toContain('the test was skipped');
  });
});

describe('bad input is one sentence and exit code 2', () => {
  test.for<[fault: string, text: string, sentence: string]>([
    ['no header', 'export const createCounter = 1;\n', 'has no header'],
    ['a promise that there is not', '/*\nbreaks: [12]\nwhy: x\nask: y\n*/\n', 'says "breaks: [12]"'],
    ['no list', '/*\nbreaks: some\nwhy: x\nask: y\n*/\n', 'says "breaks: some"'],
    ['no question', '/*\nbreaks: [1]\nwhy: x\n*/\n', 'lacks "why" or "ask"'],
  ])('a rejected submission with %s', async ([, text, sentence]) => {
    await writeFile(naive, text);

    const { code, stderr } = await verify();

    expect(code).toBe(2);
    expect(stderr).toMatch(/^tests\/race-condition\/submissions\/rejected\/naive\.ts /);
    expect(stderr).toContain(sentence);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  test('an unknown kata, and a repeat that is no number', async () => {
    expect(await verify('race')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Did you mean race-condition?'),
    });
    expect(await verify('--repeat', 'often')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('whole number'),
    });
  });
});

test('what has passed and has not changed is not run again, unless --fresh asks for it', async () => {
  const text = await readFile(naive, 'utf8');
  for (let number = 2; number <= 6; number++) {
    await writeFile(
      join(submissions, `rejected/naive-${number}.ts`),
      text.replace('breaks: [1, 2, 3, 8]', 'breaks: [1, 2, 3, 8]'),
    );
  }
  // A kata of three promises, all of which the naive answer breaks: enough for a whole pass.
  const env = { CI: undefined, KATA_CACHE: join(copy, 'cache') };
  await rewrite(readme, /### robust[\s\S]*?## Example/, '## Example');
  await rewrite(readme, 'starterBreaks: [1, 2, 3, 5, 8]', 'starterBreaks: [1, 2]');
  await rewrite(
    join(copy, 'tests/race-condition/race-condition.test.ts'),
    /describe\('robust'[\s\S]*?\n\/\*\* How a call went/,
    '/** How a call went',
  );
  for (const name of await readdir(join(submissions, 'rejected')))
    await rewrite(join(submissions, 'rejected', name), 'breaks: [1, 2, 3, 8]', 'breaks: [1, 2]');

  const first = await verify('race-condition', env);
  const second = await verify('race-condition', env);
  const fresh = await verify('race-condition', '--fresh', env);
  await rewrite(naive, 'why:', 'why: Again:');
  const changed = await verify('race-condition', env);

  expect(first).toMatchObject({ code: 0, stdout: expect.stringMatching(/\n12 passed, 0 failed\n$/) });
  expect(second).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^race-condition: unchanged since all 11 .*\n\n12 passed, 0 failed\n$/),
  });
  expect(fresh.stdout).toContain('11 runs of 11 submissions.');
  expect(changed.stdout).toContain('11 runs of 11 submissions.');
});

async function rewrite(file: string, from: string | RegExp, to: string): Promise<void> {
  const text = await readFile(file, 'utf8');
  expect(text).toMatch(from);
  await writeFile(file, text.replace(from, to));
}

function verify(...given: (string | NodeJS.ProcessEnv)[]) {
  const args = given.filter((one) => typeof one === 'string');
  const env = given.find((one) => typeof one === 'object') ?? { CI: 'true' };
  return runHouseCommand('verify', args.length > 0 ? args : ['race-condition'], env, copy);
}
