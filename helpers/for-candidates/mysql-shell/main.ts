import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { chooseKatas, kataSlugs } from '../../foundations/catalogue/catalogue.ts';
import { parseArguments } from '../../foundations/command-line/parse-arguments.ts';
import { runCommand } from '../../foundations/command-line/run-command.ts';
import { UserError } from '../../foundations/command-line/user-error.ts';
import type { MysqlServer } from '../../mysql-server/source.ts';
import { startServer } from '../../mysql-server/start-server.ts';
import { TestDatabase } from '../../instruments/mysql/test-database.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { greeting } from './greeting.ts';
import { PortBridge } from './port-bridge.ts';
import { Prompt } from './prompt.ts';
import { runScript } from './run-script.ts';
import { Shell } from './shell.ts';
import { note } from '../../foundations/command-line/terminal.ts';

const command = new Command('npm run mysql')
  .usage('[kata] [-- --port N]')
  .description(
    "A MySQL server with a kata's tables, and a prompt with two sessions, to try statements by hand.\nStatements piped to standard input are run in order; the exit code is 1 when one of them failed.",
  )
  .argument('[kata]', 'whose tables to make (default: the first kata that has any)')
  .option('--port <number>', 'a fixed port of 127.0.0.1 for other clients');

// Who read has gone, as in "| head": there is nobody left to tell. The leash removes what is there.
process.stdout.on('error', () => process.exit(1));

await runCommand(async () => {
  const { args, options } = parseArguments<{ port?: string }>(command);
  const slug = chooseKata(args[0]);
  // Taken before anything is started, so that a port in use leaves nothing behind.
  await using bridge = options.port === undefined ? undefined : await PortBridge.listen(portNumber(options.port));
  await using server = await startServer({ onProgress: note });
  bridge?.leadTo(server);
  await using database = await createDatabase(server, slug);
  const words = `${await greeting(server, database, slug, bridge?.port)}\n\n`;

  if (process.stdin.isTTY) {
    process.stdout.write(words);
    const prompt = new Prompt();
    await using shell = await Shell.open({ database, screen: prompt, isScript: false });
    await prompt.run(shell);
    return 0;
  }
  process.stderr.write(words);
  const screen = {
    width: process.stdout.columns || Infinity,
    print: (text: string) => process.stdout.write(`${text}\n`),
  };
  await using shell = await Shell.open({ database, screen, isScript: true });
  await runScript(shell, process.stdin);
  return shell.hasFailed ? 1 : 0;
});

function chooseKata(typed: string | undefined): string {
  if (typed !== undefined && /^\d+$/.test(typed))
    throw new UserError(`Options go after two dashes: npm run mysql -- --port ${typed}`);
  const withTables = (typed === undefined ? kataSlugs() : chooseKatas([typed])).filter((slug) =>
    existsSync(join(repositoryRoot, 'katas', slug, 'schema.sql')),
  );
  const [slug] = withTables;
  if (slug === undefined)
    throw new UserError(
      typed === undefined
        ? 'No kata here has tables: none has a schema.sql.'
        : `The kata ${typed} has no tables; npm run mysql alone takes the first that has.`,
    );
  return slug;
}

function portNumber(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535)
    throw new UserError(`--port is "${text}": give a number from 1 to 65535.`);
  return port;
}

async function createDatabase(server: MysqlServer, slug: string): Promise<TestDatabase> {
  const { host, port, user, password } = server;
  try {
    const database = await TestDatabase.create({ host, port, user, password }, slug);
    // By hand one also wants to add an index or a trigger; where the server's account may not pass that right on, rows will do.
    await database.admin
      .query(`GRANT ALL PRIVILEGES ON ${database.name}.* TO '${database.name}'@'%'`)
      .catch(() => undefined);
    return database;
  } catch (error) {
    if ((error as { errno?: unknown }).errno === undefined) throw error;
    throw new UserError(
      `The server (${server.source}) refuses to make a database for ${slug}: ${(error as Error).message}`,
    );
  }
}
