import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { TestModule, Vitest } from 'vitest/node';
import { chooseKatas, readKata } from '../../foundations/catalogue/catalogue.ts';
import { runCommand } from '../../foundations/command-line/run-command.ts';
import { requireMachine } from '../../foundations/places.ts';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { parseArguments } from '../../foundations/command-line/parse-arguments.ts';
import { settings } from '../../foundations/settings.ts';
import { chosenSeed } from '../../judging/drawn/seed.ts';
import { notAsked } from '../../judging/verdict/not-asked.ts';
import { shortageOf } from '../../judging/verdict/verdict.ts';
import { startServer } from '../../mysql-server/start-server.ts';
import type { MysqlServer } from '../../mysql-server/source.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { muteFileSystem, onEnter, waitingText } from './watching.ts';
import { note, say } from '../../foundations/command-line/terminal.ts';

await runCommand(async () => {
  const command = new Command('npm test')
    .usage('[kata...] [-- options]')
    .description(
      'Runs the judges of the katas and prints a board: which promises hold, and what broke the first one that does not.\nWithout a name it runs all katas.',
    )
    .argument('[kata...]', 'names of katas, for example race-condition')
    .option('--watch', 'stay, and judge again at each save')
    .option('--promise <number>', 'judge this promise alone', wholeNumber)
    .addOption(
      new Option('--explain <which>', 'which broken promises are explained').choices(['first', 'all']).default('first'),
    )
    .option('--limit <seconds>', 'how long the judge of one kata may take', wholeNumber, 300)
    .addHelpText(
      'after',
      '\nExit code: 0 all promises hold, 1 one is broken, 2 the run could not begin or the\njudge could not run to its end.',
    );
  // A candidate's repository has none.
  if (existsSync(join(repositoryRoot, 'solutions')))
    command.option('--solution', 'judge the reference solutions instead of katas/');
  const { args, options } = parseArguments<Options>(command);
  const slugs = chooseKatas(args);
  chosenSeed();
  await requireMachine();
  const promises = options.promise === undefined ? undefined : [chosenPromise(slugs, options.promise)];

  // The server and Vitest start side by side; each of them takes most of a second.
  const needsMysql = slugs.some((slug) => readKata(slug).needs.includes('mysql'));
  const [server, vitest] = await bothOrNeither(
    needsMysql ? startTimed() : undefined,
    prepareVitest(options.watch ?? false),
  );
  vitest.provide('mysqlServers', server ? [addressOf(server)] : []);
  vitest.provide('settings', {
    ...settings(),
    ...(options.explain === 'all' && { explain: 'all' }),
    ...(options.solution && { target: 'solutions' }),
    promises,
    // In watch mode the user decides when it takes too long.
    limitSeconds: options.watch ? undefined : options.limit,
  });
  const files = slugs.map((slug) => join(repositoryRoot, 'tests', slug, `${slug}.test.ts`));
  await vitest.start(files);

  if (options.watch) {
    const mounts = await readFile('/proc/mounts', 'utf8').catch(() => '');
    const waiting = waitingText(muteFileSystem(repositoryRoot, mounts));
    say(waiting);
    using _keys = onEnter(async () => {
      await vitest.rerunTestSpecifications(await vitest.getRelevantTestSpecifications(files));
      say(waiting);
    });
    await new Promise<void>((resolve) => vitest.onClose(() => resolve()));
  }
  await Promise.all([vitest.close(), server?.[Symbol.asyncDispose]()]);
  const modules = vitest.state.getTestModules();
  const mute = modules.filter((module) => module.errors().length > 0 || !hasJudged(module));
  if (modules.length === 0 || mute.length > 0) {
    note('The judge could not run, so there is no verdict on the module.');
    return 2;
  }
  const failed = modules.flatMap((module) => [...module.children.allTests('failed')]);
  if (failed.length > 0 && failed.every((test) => shortageOf(test) !== undefined)) {
    note('The machine ran short of something, so not every promise was judged; the board says of what.');
    return 2;
  }
  const held = modules.every((module) => module.ok());
  return held && vitest.state.getUnhandledErrors().length === 0 ? 0 : 1;
});

async function startTimed(): Promise<MysqlServer> {
  const startedAt = performance.now();
  const server = await startServer({ onProgress: note });
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const flavour = server.flavour === 'mysql' ? 'MySQL' : 'MariaDB';
  say(`${flavour} ${server.version} from ${server.source}, ready in ${seconds} s`);
  return server;
}

interface Options {
  readonly watch?: boolean;
  readonly solution?: boolean;
  readonly promise?: number;
  readonly explain: 'first' | 'all';
  readonly limit: number;
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('It must be a whole number above 0.');
  return Number(text);
}

function chosenPromise(slugs: readonly string[], number: number): number {
  const [slug, ...others] = slugs;
  if (slug === undefined || others.length > 0)
    throw new UserError(`--promise needs one kata: npm test <kata> -- --promise ${number}`);
  const { promises } = readKata(slug);
  if (number > promises.length)
    throw new UserError(`${slug} has no promise ${number}; it has 1 to ${promises.length}.`);
  return number;
}

async function prepareVitest(watch: boolean): Promise<Vitest> {
  const { createVitest } = await import('vitest/node');
  return await createVitest('test', {
    watch,
    root: repositoryRoot,
  });
}

/** A test that was skipped with a reason was judged as far as this platform can, if it was to be judged. */
function hasJudged(module: TestModule): boolean {
  return [...module.children.allTests()].some((test) => {
    const result = test.result();
    return result.state !== 'skipped' || (result.note !== undefined && result.note !== notAsked);
  });
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
