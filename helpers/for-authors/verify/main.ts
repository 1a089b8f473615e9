import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { chooseKatas, readKata } from '../../foundations/catalogue/catalogue.ts';
import { submissionsOf } from '../../foundations/catalogue/submissions.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { parseArguments } from '../../foundations/command-line/parse-arguments.ts';
import { runCommand } from '../../foundations/command-line/run-command.ts';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { requireMachine } from '../../foundations/places.ts';
import { chosenSeed } from '../../judging/drawn/seed.ts';
import { chooseSource } from '../../mysql-server/start-server.ts';
import { coverOf } from './cover.ts';
import { runHelperTests } from './helper-tests.ts';
import { faultsOfKata, faultsOfWording } from './house-rules.ts';
import { judgeClaims } from './judge-claims.ts';
import { faultsOfMargins, marginsFile, marginsOf, marginsText, readMargins, recordOf } from './margins.ts';
import { matrix } from './matrix.ts';
import { judgeMutants } from './mutants/judge-mutants.ts';
import { contentKey, recallPassed, rememberPassed } from './passed-cache.ts';
import { type FullRow, explain, standingOf, standingText } from './row.ts';
import { say } from '../../foundations/command-line/terminal.ts';

/** The names that are no katas: sets of tests of our own. */
const testNames = ['helpers', 'containers'] as const;

interface Options {
  readonly all: boolean;
  readonly load: boolean;
  readonly fresh: boolean;
  readonly tolerateUnsteady: number;
  readonly strictMargins: boolean;
  readonly recordMargins: boolean;
  readonly mutants?: string;
  readonly limit?: number;
}

await runCommand(async () => {
  const command = new Command('npm run verify')
    .usage('[name...] [-- options]')
    .description(
      'Judges the judges: every accepted submission and the solution must pass, every rejected one and the starter must break\njust the promises that their files name. A verdict that differs is judged three more times alone, and is then "wrong"\nor "unsteady, n of 4". Without a name it does so for all katas, and runs the helpers’ own tests. What is scored in\ncontainers runs by name only: it needs minutes more, and a Docker engine.',
    )
    .argument('[name...]', 'names of katas, "helpers" or "containers"')
    .option(
      '--all',
      'judge every rejected submission by every promise, not only one for each promise by that one',
      false,
    )
    .option('--load', 'keep every core busy meanwhile', false)
    .option('--fresh', 'judge katas again that have passed and have not changed since', false)
    .option('--tolerate-unsteady <n>', 'pass with at most n submissions that are unsteady', wholeNumber, 0)
    .option('--strict-margins', 'fail when a quantity comes too near to its limit, instead of warning', false)
    .option('--record-margins', 'with --all: write solutions/<kata>/margins.json, from which the choice is made', false)
    .option('--mutants <kata>', 'judge mutants of this kata’s reference instead, and list those that survive')
    .option('--limit <n>', 'with --mutants: judge at most n of them, spread evenly', wholeNumber)
    .addHelpText('after', '\nExit code: 0 all as claimed, 1 something is not, 2 the run could not begin.');
  const { args, options } = parseArguments<Options>(command);
  if (options.recordMargins && !options.all)
    throw new UserError('--record-margins needs --all: the smallest margin is found among all submissions.');
  if (options.limit !== undefined && options.mutants === undefined) throw new UserError('--limit needs --mutants.');
  await requireMachine();
  if (options.mutants !== undefined) {
    if (args.length > 0) throw new UserError(`Unexpected argument "${args[0]}": --mutants names its kata itself.`);
    const [slug = options.mutants] = chooseKatas([options.mutants]);
    chosenSeed();
    return await judgeMutants(slug, options.limit ?? Infinity);
  }
  const names = args.filter((name) => !testNames.some((one) => one === name));
  const katas = args.length > 0 && names.length === 0 ? [] : chooseKatas(names).map((slug) => readKata(slug));
  chosenSeed();
  const lists = katas.map((kata) => {
    const submissions = submissionsOf(kata);
    return { kata, submissions, chosen: options.all ? submissions : coverOf(submissions, readMargins(kata)) };
  });

  const total = { passed: 0, failed: 0, skipped: 0 };
  // Said last, since of a long log on a server often only the end is kept.
  const complaints: string[] = [];
  const count = (ok: boolean) => (ok ? (total.passed += 1) : (total.failed += 1));

  const pending: typeof lists = [];
  const useCache = !options.load && !options.fresh && !options.recordMargins && process.env.CI === undefined;
  const source = katas.some(({ needs }) => needs.includes('mysql')) ? (await chooseSource()).name : 'none';
  const keyOf = (slug: string) => contentKey(slug, source, options.all, options.strictMargins);
  for (const list of lists) {
    const passed = useCache ? await recallPassed(keyOf(list.kata.slug)) : undefined;
    if (passed) {
      total.passed += passed.submissions + 1;
      say(
        `${list.kata.slug}: unchanged since all ${passed.submissions} were judged as claimed, ${passed.at}. Judge again with --fresh.`,
      );
    } else pending.push(list);
  }

  if (pending.length > 0) {
    const rows = await judgeClaims(
      pending.flatMap(({ chosen }) => chosen),
      { load: options.load, whole: options.all },
    );
    for (const { kata, submissions } of pending) {
      const own = rows.filter((row) => row.submission.slug === kata.slug);
      say(`\n${matrix(kata, own, standingText)}\n`);
      const margins = marginsOf(own);
      if (margins.length > 0) say(`${marginsText(margins)}\n`);
      const tooSmall = faultsOfMargins(kata.slug, margins);
      if (!options.strictMargins) for (const sentence of tooSmall) say(`Warning: ${sentence}`);
      if (options.recordMargins && own.every(isAsClaimed))
        await writeFile(
          join(repositoryRoot, marginsFile(kata.slug)),
          `${JSON.stringify(recordOf(marginsOf(own.filter(({ submission }) => submission.name !== 'starter'))), undefined, 2)}\n`,
        );
      const faults = [
        ...faultsOfKata(kata, submissions),
        ...new Set(own.flatMap((row) => faultsOfWording(kata, row.verdicts[0]?.promises ?? []))),
        ...(options.strictMargins ? tooSmall : []),
      ];
      complaints.push(...faults, ...own.filter((row) => !isAsClaimed(row)).map(explain));
      for (const row of own) count(isAsClaimed(row));
      count(faults.length === 0);
      if (faults.length === 0 && own.every(isAsClaimed))
        await rememberPassed(keyOf(kata.slug), {
          submissions: own.length,
          at: new Date().toISOString().slice(0, 16),
        });
    }
    const known = pending.reduce((sum, { submissions }) => sum + submissions.length, 0);
    say(`${rows.length} of ${known} submissions judged${options.load ? ', beside busy loops' : ''}.`);
    const unsteady = rows.filter((row) => standingOf(row) === 'unsteady');
    if (unsteady.length > 0 && unsteady.length <= options.tolerateUnsteady) {
      say(
        `Tolerated as unsteady, ${unsteady.length} of at most ${options.tolerateUnsteady}: ${unsteady.map(({ submission }) => submission.source).join(', ')}.`,
      );
      total.failed -= unsteady.length;
      total.passed += unsteady.length;
    }
  }

  const chosenTests = args.length === 0 ? ['helpers' as const] : testNames.filter((name) => args.includes(name));
  for (const which of chosenTests) {
    const tests = await runHelperTests(which);
    total.passed += tests.passed;
    total.failed += tests.failed;
    total.skipped += tests.skipped;
  }
  if (complaints.length > 0) say(`\n${complaints.join('\n')}`);
  say(`\n${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`);
  return total.failed === 0 ? 0 : 1;
});

function isAsClaimed(row: FullRow): boolean {
  return standingOf(row) === 'as claimed';
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || text.trim() === '')
    throw new InvalidArgumentError('It must be a whole number from 0.');
  return value;
}
