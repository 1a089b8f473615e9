import { MySqlContainer } from '@testcontainers/mysql';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { utimes } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import Table from 'cli-table3';
import { Command } from 'commander';
import { createVitest } from 'vitest/node';
import { parseArguments } from '../../foundations/command-line/parse-arguments.ts';
import { runCommand } from '../../foundations/command-line/run-command.ts';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { startServer } from '../../mysql-server/start-server.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { say } from '../../foundations/command-line/terminal.ts';

/** Runs of each figure; the median counts. */
const runs = 5;
const cold = { KATA_MYSQL: 'docker' };

const table = new Table({ head: ['what', 'limit', 'median', 'range'], style: { head: [], border: [] } });

/** What there is to measure, by the name to give on the command line. */
const sections: Record<string, () => Promise<void>> = {
  mysql: () =>
    row('MySQL from its cache, until it answers', '1 s', async () => {
      const startedAt = performance.now();
      await using _server = await startServer();
      return performance.now() - startedAt;
    }),
  test: async () => {
    await row('npm test race-condition, the solution', '4 s', () => testRun(['--solution', 'race-condition']));
    await row('npm test backpressure, the solution', '6 s', () => testRun(['--solution', 'backpressure']));
    await row('npm test memory-leak, the solution', '25 s', () => testRun(['--solution', 'memory-leak']));
  },
  watch: async () => rowOf('watch race-condition: the same again at a save', '2 s', await watchRuns()),
  verify: async () => {
    await row('npm run verify race-condition', '90 s', () => commandRun('verify', ['race-condition', '--fresh']), 1);
    const flagships = ['race-condition', 'backpressure', 'memory-leak'];
    await row(
      `npm run verify ${flagships.join(' ')}`,
      '360 s',
      () => commandRun('verify', [...flagships, '--fresh']),
      1,
    );
  },
  second: secondFileRow,
  docker: dockerRows,
};

await runCommand(async () => {
  const command = new Command('npm run bench')
    .usage('[what...]')
    .description(
      'Measures the speed and the precision of the judges, five runs each, and prints a table. It is not a test.\nQuote its figures with the load that it prints. The Docker rows need an engine.',
    )
    .argument('[what...]', `of ${Object.keys(sections).join(', ')}; all of them without a name`);
  const { args } = parseArguments(command);
  const unknown = args.find((name) => !(name in sections));
  if (unknown !== undefined)
    throw new UserError(`There is nothing called ${unknown} to measure, but ${Object.keys(sections).join(', ')}.`);
  say(`${availableParallelism()} cores, load average ${loadavg()[0]!.toFixed(1)} at the start`);

  for (const [name, measure] of Object.entries(sections)) if (args.length === 0 || args.includes(name)) await measure();
  say(`\n${table.toString()}\nload average ${loadavg()[0]!.toFixed(1)} at the end`);
  return 0;
});

async function secondFileRow(): Promise<void> {
  await using server = await startServer();
  const one: number[] = [];
  const two: number[] = [];
  for (let run = 0; run < runs; run++) {
    one.push(await judgesRun(['first'], server));
    two.push(await judgesRun(['first', 'second'], server));
  }
  await rowOf(
    'a second test file with a database adds',
    '0.5 s',
    one.map((ms, run) => two[run]! - ms),
  );
}

async function row(what: string, limit: string, measure: () => Promise<number>, times = runs): Promise<void> {
  await measure();
  const samples: number[] = [];
  for (let run = 0; run < times; run++) samples.push(await measure());
  await rowOf(what, limit, samples);
}

async function rowOf(
  what: string,
  limit: string,
  samples: readonly number[],
  unit = ' s',
  scale = 1000,
): Promise<void> {
  const sorted = samples.map((sample) => sample / scale).sort((left, right) => left - right);
  const shown = (value: number) => `${value.toFixed(2)}${unit}`;
  table.push([what, limit, shown(sorted[sorted.length >> 1]!), `${shown(sorted[0]!)} to ${shown(sorted.at(-1)!)}`]);
  say(`${what}: ${shown(sorted[sorted.length >> 1]!)}`);
}

/** Side by side: a plain container, and ours from the baked image. */
async function dockerRows(): Promise<void> {
  const plain: number[] = [];
  const baked: number[] = [];
  const image = process.env.MYSQL_IMAGE ?? 'mysql:9.7';
  try {
    await using _warm = await startServer({ env: { ...process.env, ...cold } });
  } catch (error) {
    table.push(['Testcontainers, the baked image', 'a third', 'not measured', (error as Error).message.slice(0, 40)]);
    return;
  }
  for (let run = 0; run < runs; run++) {
    let startedAt = performance.now();
    const container = await new MySqlContainer(image).start();
    plain.push(performance.now() - startedAt);
    await container.stop();
    startedAt = performance.now();
    const server = await startServer({ env: { ...process.env, ...cold } });
    baked.push(performance.now() - startedAt);
    await server[Symbol.asyncDispose]();
  }
  await rowOf('new MySqlContainer(image).start()', '', plain);
  await rowOf('Testcontainers, the baked image', '', baked);
  await rowOf(
    'the second as a part of the first',
    '0.33',
    baked.map((ms, run) => ms / plain[run]!),
    '',
    1,
  );
}

function testRun(args: readonly string[]): Promise<number> {
  return commandRun('test', args);
}

/** A command as its npm script calls it, without the time that npm takes. */
function asByNpm(name: string, args: readonly string[]): string[] {
  const own = join(repositoryRoot, 'helpers');
  return [
    '--import',
    pathToFileURL(join(own, 'foundations/command-line/compile-cache.js')).href,
    join(own, name, 'main.ts'),
    ...args,
  ];
}

async function commandRun(name: string, args: readonly string[]): Promise<number> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, asByNpm(name, args), {
    cwd: repositoryRoot,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [code] = await once(child, 'exit');
  if (code !== 0)
    throw new Error(`${name} ${args.join(' ')} ended with exit code ${code}; there is nothing to measure.`);
  return performance.now() - startedAt;
}

async function watchRuns(): Promise<number[]> {
  const child = spawn(process.execPath, asByNpm('test', ['--watch', '--solution', 'race-condition']), {
    cwd: repositoryRoot,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const untilBoard = async () => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done || value.includes('promises hold in')) return;
    }
  };
  await untilBoard();
  const samples: number[] = [];
  for (let run = 0; run < runs; run++) {
    const startedAt = performance.now();
    const now = new Date();
    await utimes(join(repositoryRoot, 'solutions/race-condition/race-condition.ts'), now, now);
    await untilBoard();
    samples.push(performance.now() - startedAt);
  }
  child.kill('SIGTERM');
  await once(child, 'exit');
  return samples;
}

async function judgesRun(
  names: readonly string[],
  { host, port, user, password }: { host: string; port: number; user: string; password: string },
): Promise<number> {
  const startedAt = performance.now();
  const vitest = await createVitest('test', {
    config: false,
    root: repositoryRoot,
    watch: false,
    pool: 'threads',
    include: names.map((name) => `helpers/for-authors/bench/${name}.judge.ts`),
    provide: { mysqlServers: [{ host, port, user, password }] },
    reporters: [{}],
  });
  const { testModules } = await vitest.start();
  await vitest.close();
  if (testModules.length !== names.length || !testModules.every((module) => module.ok()))
    throw new Error('a bench judge failed');
  return performance.now() - startedAt;
}
