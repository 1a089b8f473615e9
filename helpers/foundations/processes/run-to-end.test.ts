import { expect, test } from 'vitest';
import { runToEnd } from './run-to-end.ts';

const node = (script: string, options: Parameters<typeof runToEnd>[2] = {}) =>
  runToEnd(process.execPath, ['-e', script], options);

test('tells what a program says and how it ends', async () => {
  const { stdout, ...run } = await node(
    'process.stdin.pipe(process.stdout); console.error("why"); process.exitCode = 3',
    {
      input: 'given',
    },
  );

  expect(stdout.toString()).toBe('given');
  expect(run).toEqual({ code: 3, signal: null, stderr: 'why\n', met: undefined, isMissing: false });
});

test('without input, standard input is at its end', async () => {
  const { stdout } = await node('process.stdin.on("end", () => console.log("end")).resume()');

  expect(stdout.toString()).toBe('end\n');
});

test('a program that is not there is told apart', async () => {
  expect(await runToEnd('there-is-no-such-program', [])).toMatchObject({ isMissing: true, met: undefined });
});

test.skipIf(process.platform === 'win32')(
  'a program that takes too long is ended, with what it has started',
  async () => {
    // The grandchild holds the output open, so the run has an end only when the grandchild has ended too.
    const run = await runToEnd('/bin/sh', ['-c', 'sleep 600 & wait'], { timeMs: 1000 });

    expect(run).toMatchObject({ met: 'time', signal: 'SIGKILL', code: null });
  },
);

test('a program that prints too much is ended, and what it printed before is kept', async () => {
  const { met, stdout } = await node('const say = () => process.stdout.write("x".repeat(10_000), say); say()', {
    outputBytes: 1_000_000,
  });

  expect(met).toBe('output');
  expect(stdout.length).toBeLessThanOrEqual(1_000_000);
});
