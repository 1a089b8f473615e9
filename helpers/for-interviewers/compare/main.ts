import { rename, rm, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { chooseKatas } from '../../foundations/catalogue/catalogue.ts';
import { parseArguments } from '../../foundations/command-line/parse-arguments.ts';
import { runCommand } from '../../foundations/command-line/run-command.ts';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { columnsText } from './columns-text.ts';
import { comparePage } from './page.ts';
import { readVersions } from './read-versions.ts';
import { unifiedText } from './unified-text.ts';
import { painter, say } from '../../foundations/command-line/terminal.ts';

/** Three columns of code want as much. */
const leastForColumns = 120;
/** Where there is no terminal. */
const [narrowest, widest] = [80, 160];

await runCommand(async () => {
  const command = new Command('npm run compare')
    .usage('-- kata [folder or file] [--html FILE]')
    .description(
      'Shows the starter, the candidate’s module and the reference side by side; where there is no room, what changes from\neach to the next. Without a folder or file the candidate is katas/ as it is now.',
    )
    .argument('<kata>', 'the name of one kata, for example race-condition')
    .argument('[candidate]', "the candidate's repository, or the file itself")
    .option('--html <file>', 'write a page instead: one file, no network')
    .addHelpText('after', '\nExit code: 0 shown or written, 2 it could not be.');
  const { args, options } = parseArguments<{ html?: string }>(command);
  const [kata = '', given, tooMany] = args;
  if (tooMany !== undefined) throw new UserError(`unexpected argument "${tooMany}": name one kata and one candidate.`);

  const [slug = kata] = chooseKatas([kata]);
  const [starter, candidate, reference] = await readVersions(slug, given === undefined ? undefined : fromUser(given));
  // A module that nobody has touched yet needs no column of its own.
  const versions = starter.text === candidate.text ? [starter, reference] : [starter, candidate, reference];
  if (options.html !== undefined) {
    await writeAtOnce(
      fromUser(options.html),
      comparePage(`${slug}: ${versions.map(({ role }) => role).join(', ')}`, versions),
    );
    return 0;
  }
  const width = widthOfOutput();
  const paint = painter();
  const text = width < leastForColumns ? unifiedText(versions, width, paint) : columnsText(versions, width, paint);
  say(text);
  return 0;
});

function widthOfOutput(): number {
  if (process.stdout.isTTY) return process.stdout.columns;
  const wanted = Number(process.env.COLUMNS) || widest;
  return Math.min(widest, Math.max(narrowest, wanted));
}

/** npm changes into the clone's folder; a path is meant as the user's own shell would take it. */
function fromUser(path: string): string {
  return resolve(process.env.INIT_CWD ?? '.', path);
}

/** The page is there in full or not at all. */
async function writeAtOnce(file: string, text: string): Promise<void> {
  const aside = `${file}.${process.pid}`;
  try {
    await writeFile(aside, text);
    await rename(aside, file);
  } catch (error) {
    await rm(aside, { force: true });
    throw new UserError(`${file} cannot be written: ${(error as Error).message}`);
  }
  say(file);
}
