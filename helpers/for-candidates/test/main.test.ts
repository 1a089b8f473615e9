import { createServer } from 'node:net';
import { once } from 'node:events';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { readKata } from '../../foundations/catalogue/catalogue.ts';
import { runHouseCommand } from '../../foundations/command-line/run-house-command.ts';
import { until } from '../../foundations/waiting/until.ts';
import { MysqlProxy } from '../../instruments/mysql/proxy.ts';
import '../../instruments/mysql/use-test-database.ts';

// `npm test` as a user runs it: its exit code, its board, and what it says of bad input.

describe('the board', () => {
  test('is green for the solution, twice at the same time', async () => {
    const runs = await Promise.all(
      [1, 2].map(() => runHouseCommand('for-candidates/test', ['race-condition', '--solution'])),
    );

    for (const { code, stdout, stderr } of runs) {
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(/race-condition +9 of 9 promises hold/);
      expect(stdout).toMatch(/^9 of 9 promises hold in 1 kata/m);
      expect(stdout).not.toContain('✗');
    }
  });

  test('is red for the starter, for the promises that its README names, within 80 columns and without color', async () => {
    const { starterBreaks, promises } = readKata('race-condition');

    const { code, stdout } = await runHouseCommand('for-candidates/test', ['race-condition']);

    const broken = [...stdout.matchAll(/✗ +(\d+)/g)].map(([, number]) => Number(number));
    expect(code).toBe(1);
    expect(broken).toEqual(starterBreaks);
    expect(stdout).toContain(`${promises.length - starterBreaks.length} of ${promises.length} promises hold`);
    expect(stdout).toContain('The first broken promise is 1. What was seen:');
    expect(stdout).toMatch(
      /value in the table, from \d+, after \d+\s+calls\s+returned:\s+expected\s+\d+\s+to\s+be\s+\d+/,
    );
    expect(stdout).toMatch(/The judge {3}tests\/race-condition\/race-condition\.test\.ts:\d+/);
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
    // No escape character: neither color nor a moving line.
    expect(stdout.includes('\u001B')).toBe(false);
    expect(stdout).not.toMatch(/^\s+at .*node_modules/m);
  });
});

test('one promise of a kata, named by the path of its file', async () => {
  const { code, stdout } = await runHouseCommand('for-candidates/test', [
    'katas/event-emitter/event-emitter.ts',
    '--solution',
    '--promise',
    '4',
  ]);

  expect(code).toBe(0);
  expect(stdout).toMatch(/event-emitter +1 of 1 promises hold/);
  expect(stdout.match(/✓ +\d+/g)).toEqual(['✓  4']);
});

test('--explain all explains each broken promise', async () => {
  const { starterBreaks } = readKata('event-emitter');

  const { stdout } = await runHouseCommand('for-candidates/test', ['event-emitter', '--explain', 'all']);

  expect(stdout.match(/What was seen:/g)).toHaveLength(starterBreaks.length);
});

test('a judge that takes too long is one sentence and exit code 2', async () => {
  const { code, stderr } = await runHouseCommand('for-candidates/test', ['memory-leak', '--limit', '1']);

  expect(code).toBe(2);
  expect(stderr).toMatch(/^memory-leak was not judged to its end within 1 s\. Try one promise .*\n$/);
});

describe('bad input is one sentence and exit code 2', () => {
  test('an unknown kata, with the nearest name', async () => {
    const { code, stderr } = await runHouseCommand('for-candidates/test', ['race-conditon']);

    expect(code).toBe(2);
    expect(stderr).toMatch(/^There is no kata "race-conditon"\. Did you mean race-condition\? .*\n$/);
  });

  test.for<[args: string[], sentence: string]>([
    [['event-emitter', '--promise', '99'], 'event-emitter has no promise 99; it has 1 to 12.\n'],
    [['--promise', '1'], '--promise needs one kata: npm test <kata> -- --promise 1\n'],
  ])('a promise that there is not: %j', async ([args, sentence]) => {
    const { code, stderr } = await runHouseCommand('for-candidates/test', args);

    expect({ code, stderr }).toEqual({ code: 2, stderr: sentence });
  });

  test('an unknown option', async () => {
    const { code, stderr } = await runHouseCommand('for-candidates/test', ['--nope']);

    expect({ code, stderr }).toEqual({ code: 2, stderr: "unknown option '--nope'. See: npm test -- --help\n" });
  });

  test('a KATA_SEED that is no number', async () => {
    const { code, stderr } = await runHouseCommand('for-candidates/test', ['race-condition'], { KATA_SEED: 'abc' });

    expect(code).toBe(2);
    expect(stderr).toMatch(/^KATA_SEED is "abc"; expected a whole number .*\n$/);
  });

  test('a MYSQL_URL that refuses, without its password', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    taken.close();
    onTestFinished(() => void taken.close());

    const { code, stdout, stderr } = await runHouseCommand('for-candidates/test', ['race-condition'], {
      MYSQL_URL: `mysql://root:sesame@127.0.0.1:${port}/`,
      KATA_MYSQL: '',
    });

    expect(code).toBe(2);
    expect(stderr).toContain(`127.0.0.1`);
    expect(stderr).toContain(String(port));
    expect(stderr).toContain('ECONNREFUSED');
    expect(stdout + stderr).not.toContain('sesame');
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  test('a MySQL that goes away in mid-run', async () => {
    const server = inject('mysqlServers')[0]!;
    await using proxy = await MysqlProxy.start(server, 'server');
    const { port } = proxy;
    const run = runHouseCommand('for-candidates/test', ['race-condition', '--solution'], {
      MYSQL_URL: `mysql://${server.user}:${server.password}@127.0.0.1:${port}/`,
      KATA_MYSQL: '',
    });
    const isAtWork = await until(() => proxy.statements > 100, 60_000);
    await proxy[Symbol.asyncDispose]();
    const { code, stdout } = await run;

    expect(isAtWork).toBe(true);
    expect(stdout).toContain('The judge could not run:');
    expect(stdout.replaceAll(/\s+/g, ' ')).toContain(`The MySQL on 127.0.0.1:${port} went away while it was in use`);
    expect(code).toBe(2);
  });

  test('a source that there is not', async () => {
    const { code, stderr } = await runHouseCommand('for-candidates/test', ['race-condition'], {
      KATA_MYSQL: 'oracle',
      MYSQL_URL: '',
    });

    expect(code).toBe(2);
    expect(stderr).toContain('oracle');
    expect(stderr).toContain('debian-mysql');
  });
});

test('--help says what there is, exit code 0', async () => {
  const { code, stdout } = await runHouseCommand('for-candidates/test', ['--help']);

  expect(code).toBe(0);
  expect(stdout).toContain('Usage: npm test [kata...]');
  expect(stdout).toContain('--watch');
});
