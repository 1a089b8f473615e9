import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';

// What a person sees who pipes the command, or types something that is not there.

const run = (...args: string[]) =>
  promisify(execFile)(process.execPath, [join(repositoryRoot, 'helpers/for-candidates/observe/main.ts'), ...args], {
    cwd: repositoryRoot,
  });

/** The numbers of one row of the table. */
const row = (table: string, name: string) =>
  [...(new RegExp(`^│ ${name} .*$`, 'm').exec(table)?.[0] ?? '').matchAll(/\d+/g)].map(([number]) => Number(number));

test('without a terminal it runs the script and prints a table of 80 columns; the starter keeps what the solution lets go', async () => {
  const starter = await run('memory-leak');
  const solution = await run('memory-leak', '--solution');

  expect(row(starter.stdout, 'sessions'), 'sessions after each step, of the starter').toEqual([1, 11, 11, 11, 11]);
  expect(row(solution.stdout, 'sessions'), 'sessions after each step, of the solution').toEqual([1, 11, 11, 11, 1]);
  expect(Math.max(...starter.stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
});

test('a debugger can attach', async () => {
  const { stdout } = await run('memory-leak', '--inspect');

  expect(stdout).toMatch(/^Debugger: ws:\/\/127\.0\.0\.1:\d+\//m);
});

test.for([
  { args: [], sentence: /Name one kata: npm run observe memory-leak/ },
  {
    args: ['race-condition'],
    sentence: /There is nothing to observe in race-condition\. Those to observe: memory-leak\./,
  },
  { args: ['memory-leak', '--file', 'nowhere.ts'], sentence: /There is no file nowhere\.ts to observe\./ },
])('$args gets one sentence and exit code 2', async ({ args, sentence }) => {
  await expect(run(...args)).rejects.toMatchObject({ code: 2, stderr: expect.stringMatching(sentence) });
});
