import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import type { Vitest } from 'vitest/node';
import { chooseKatas, readKata } from '../../foundations/catalogue/catalogue.ts';
import { runCommand } from '../../foundations/command-line/run-command.ts';
import { parseArguments } from '../../foundations/command-line/parse-arguments.ts';
import { chosenSeed } from '../../judging/drawn/seed.ts';
import { startServer } from '../../mysql-server/start-server.ts';
import type { MysqlServer } from '../../mysql-server/source.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';

await runCommand(async () => {
  const command = new Command('npm test')
    .usage('[kata...] [-- options]')
    .description(
      'Runs the judges of the katas and prints a board: which promises hold, and what broke the first one that does not.\nWithout a name it runs all katas.',
    )
    .argument('[kata...]', 'names of katas, for example race-condition')
    .option('--watch', 'stay, and judge again at each save')
    .addHelpText('after', '\nExit code: 0 all promises hold, 1 one is broken, 2 the run could not begin.');
  // A candidate's repository has none.
  if (existsSync(join(repositoryRoot, 'solutions')))
    command.option('--solution', 'judge the reference solutions instead of katas/');
  const { args, options } = parseArguments<{ watch?: boolean; solution?: boolean }>(command);
  const slugs = chooseKatas(args);
  chosenSeed();
  if (options.solution) process.env.KATA_TARGET = 'solutions';

  // The server and Vitest start side by side; each of them takes most of a second.
  const needsMysql = slugs.some((slug) => readKata(slug).needs.includes('mysql'));
  const [server, vitest] = await bothOrNeither(
    needsMysql ? startTimed() : undefined,
    prepareVitest(options.watch ?? false),
  );
  vitest.provide('mysqlServers', server ? [addressOf(server)] : []);
  await vitest.start(slugs.map((slug) => join(repositoryRoot, 'tests', slug, `${slug}.test.ts`)));

  if (options.watch) {
    process.stdout.write('\nWaiting for a save; Ctrl-C ends.\n');
    await new Promise<void>((resolve) => vitest.onClose(() => resolve()));
  }
  await Promise.all([vitest.close(), server?.[Symbol.asyncDispose]()]);
  const modules = vitest.state.getTestModules();
  const held = modules.length > 0 && modules.every((module) => module.ok());
  return held && vitest.state.getUnhandledErrors().length === 0 ? 0 : 1;
});

async function startTimed(): Promise<MysqlServer> {
  const startedAt = performance.now();
  const server = await startServer({ onProgress: (line) => process.stderr.write(`${line}\n`) });
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const flavour = server.flavour === 'mysql' ? 'MySQL' : 'MariaDB';
  process.stdout.write(`${flavour} ${server.version} from ${server.source}, ready in ${seconds} s\n`);
  return server;
}

async function prepareVitest(watch: boolean): Promise<Vitest> {
  const { createVitest } = await import('vitest/node');
  return await createVitest('test', { watch, root: repositoryRoot });
}

/** Waits for both; when one cannot be had, the other is closed again. */
async function bothOrNeither(
  starting: Promise<MysqlServer> | undefined,
  preparing: Promise<Vitest>,
): Promise<[MysqlServer | undefined, Vitest]> {
  try {
    return await Promise.all([starting, preparing]);
  } catch (error) {
    await Promise.allSettled([
      starting?.then((server) => server[Symbol.asyncDispose]()),
      preparing.then((vitest) => vitest.close()),
    ]);
    throw error;
  }
}

function addressOf({ host, port, user, password }: MysqlServer) {
  return { host, port, user, password };
}
