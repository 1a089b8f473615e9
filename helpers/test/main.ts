import { join } from 'node:path';
import { Command } from 'commander';
import { chooseKatas, readKata } from '../catalogue/catalogue.ts';
import { runCommand } from '../command/run-command.ts';
import { parseArguments } from '../command/parse-arguments.ts';
import { startServer } from '../mysql/start-server.ts';
import type { MysqlServer } from '../mysql/source.ts';
import { repositoryRoot } from '../subject/target.ts';

await runCommand(async () => {
  const command = new Command('npm test')
    .usage('[kata...] [-- options]')
    .description(
      'Runs the judges of the katas and prints a board: which promises hold, and what broke the first one that does not.\nWithout a name it runs all katas.',
    )
    .argument('[kata...]', 'names of katas, for example race-condition')
    .option('--watch', 'stay, and judge again at each save')
    .option('--solution', 'judge the reference solutions instead of katas/')
    .addHelpText('after', '\nExit code: 0 all promises hold, 1 one is broken, 2 the run could not begin.');
  const { args, options } = parseArguments<{ watch?: boolean; solution?: boolean }>(command);
  const slugs = chooseKatas(args);
  if (options.solution) process.env.KATA_TARGET = 'solutions';

  const needsMysql = slugs.some((slug) => readKata(slug).needs.includes('mysql'));
  const startedAt = performance.now();
  const starting = needsMysql ? startServer({ onProgress: (line) => process.stderr.write(`${line}\n`) }) : undefined;
  const [{ startVitest }, server] = await Promise.all([import('vitest/node'), starting]);
  if (server) {
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    const flavour = server.flavour === 'mysql' ? 'MySQL' : 'MariaDB';
    process.stdout.write(`${flavour} ${server.version} from ${server.source}, ready in ${seconds} s\n`);
  }
  const vitest = await startVitest(
    'test',
    slugs.map((slug) => join(repositoryRoot, 'tests', slug, `${slug}.test.ts`)),
    {
      watch: options.watch ?? false,
      root: repositoryRoot,
      provide: { mysqlServers: server ? [addressOf(server)] : [] },
    },
  );
  if (vitest.shouldKeepServer()) {
    await new Promise<void>((resolve) => vitest.onClose(() => resolve()));
    await server?.[Symbol.asyncDispose]();
    return 0;
  }
  await vitest.close();
  await server?.[Symbol.asyncDispose]();
  const modules = vitest.state.getTestModules();
  return modules.length > 0 && modules.every((module) => module.ok()) && vitest.state.getUnhandledErrors().length === 0
    ? 0
    : 1;
});

function addressOf({ host, port, user, password }: MysqlServer) {
  return { host, port, user, password };
}
