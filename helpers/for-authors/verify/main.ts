import { availableParallelism } from 'node:os';
import { Command, InvalidArgumentError } from 'commander';
import { chooseKatas, readKata } from '../../foundations/catalogue/catalogue.ts';
import { parseArguments } from '../../foundations/command-line/parse-arguments.ts';
import { runCommand } from '../../foundations/command-line/run-command.ts';
import { chosenSeed } from '../../judging/drawn/seed.ts';
import type { MysqlServer } from '../../mysql-server/source.ts';
import { chooseSource, startServer } from '../../mysql-server/start-server.ts';
import type { Verdict } from '../../judging/verdict/verdict.ts';
import { startBusyLoops } from '../../foundations/processes/busy-loops.ts';
import { runHelperTests } from './helper-tests.ts';
import { faultsOfKata, faultsOfWording } from './house-rules.ts';
import { judge } from '../../judging/run/judge.ts';
import { type Row, isAsClaimed, matrix } from './matrix.ts';
import { contentKey, recallPassed, rememberPassed } from './passed-cache.ts';
import { type Submission, submissionsOf } from '../../foundations/catalogue/submissions.ts';

interface Options {
  readonly repeat: number;
  readonly load: boolean;
  readonly fresh: boolean;
}

await runCommand(async () => {
  const command = new Command('npm run verify')
    .usage('[name...] [-- options]')
    .description(
      'Judges the judges: every accepted submission and the solution must pass, every rejected one and the starter must break\njust the promises that their files name. Without a name it does so for all katas, and runs the helpers’ own tests.',
    )
    .argument('[name...]', 'names of katas, or "helpers"')
    .option('--repeat <n>', 'judge everything n times, to see whether a verdict ever changes', wholeNumber, 1)
    .option('--load', 'keep every core busy meanwhile', false)
    .option('--fresh', 'judge katas again that have passed and have not changed since', false)
    .addHelpText('after', '\nExit code: 0 all as claimed, 1 something is not, 2 the run could not begin.');
  const { args, options } = parseArguments<Options>(command);
  const names = args.filter((name) => name !== 'helpers');
  const katas = args.length > 0 && names.length === 0 ? [] : chooseKatas(names).map((slug) => readKata(slug));
  chosenSeed();
  const lists = katas.map((kata) => ({ kata, submissions: submissionsOf(kata) }));

  const total = { passed: 0, failed: 0, skipped: 0 };
  // Said last, since of a long log on a server often only the end is kept.
  const complaints: string[] = [];
  const count = (ok: boolean) => (ok ? (total.passed += 1) : (total.failed += 1));

  const pending: typeof lists = [];
  const useCache = options.repeat === 1 && !options.load && !options.fresh && process.env.CI === undefined;
  const source = katas.some(({ needs }) => needs.includes('mysql')) ? (await chooseSource()).name : 'none';
  for (const list of lists) {
    const passed = useCache ? await recallPassed(contentKey(list.kata.slug, source)) : undefined;
    if (passed) {
      total.passed += passed.submissions + 1;
      say(
        `${list.kata.slug}: unchanged since all ${passed.submissions} were judged as claimed, ${passed.at}. Judge again with --fresh.`,
      );
    } else pending.push(list);
  }

  if (pending.length > 0) {
    const rows = await judgeAll(
      pending.flatMap(({ submissions }) => submissions),
      options,
    );
    for (const { kata, submissions } of pending) {
      const own = rows.filter((row) => row.submission.slug === kata.slug);
      say(`\n${matrix(kata, own)}\n`);
      const faults = [
        ...faultsOfKata(kata, submissions),
        ...new Set(own.flatMap((row) => faultsOfWording(kata, row.verdicts[0]?.promises ?? []))),
      ];
      complaints.push(...faults, ...own.filter((row) => !isAsClaimed(row)).map(explain));
      for (const row of own) count(isAsClaimed(row));
      count(faults.length === 0);
      if (faults.length === 0 && own.every(isAsClaimed))
        await rememberPassed(contentKey(kata.slug, source), {
          submissions: own.length,
          at: new Date().toISOString().slice(0, 16),
        });
    }
    say(
      `${rows.reduce((sum, row) => sum + row.rounds, 0)} runs of ${rows.length} submissions${options.load ? ', beside busy loops' : ''}.`,
    );
  }

  if (args.length === 0 || args.includes('helpers')) {
    const helpers = await runHelperTests();
    total.passed += helpers.passed;
    total.failed += helpers.failed;
    total.skipped += helpers.skipped;
  }
  if (complaints.length > 0) say(`\n${complaints.join('\n')}`);
  say(`\n${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`);
  return total.failed === 0 ? 0 : 1;
});

type FullRow = Row & { readonly verdicts: readonly Verdict[] };

async function judgeAll(submissions: readonly Submission[], { repeat, load }: Options): Promise<FullRow[]> {
  const servers: MysqlServer[] = [];
  using stack = new DisposableStack();
  if (load) stack.use(startBusyLoops(2 * availableParallelism()));
  // One more than cores, for a judge also waits; and twice as many where each of them gets half as much.
  const needsMysql = submissions.some(({ slug }) => readKata(slug).needs.includes('mysql'));
  const workers = Math.min(needsMysql ? 4 : Infinity, availableParallelism() + 1) * (load ? 2 : 1);
  try {
    if (needsMysql) {
      // One after the other: the first may have to fill the cache that the others start from.
      for (let lane = 0; lane < workers; lane++)
        servers.push(await startServer({ onProgress: (line) => process.stderr.write(`${line}\n`) }));
      const [first] = servers;
      say(`MySQL from ${first!.source}: ${first!.flavour} ${first!.version}, ${servers.length} servers side by side`);
    }
    const verdicts = new Map<Submission, Verdict[]>(submissions.map((submission) => [submission, []]));
    let done = 0;
    for (let round = 1; round <= repeat; round++) {
      await judge(
        mixed(submissions),
        servers.map(({ host, port, user, password }) => ({ host, port, user, password })),
        (submission, verdict) => {
          verdicts.get(submission)!.push(verdict);
          const row = rowOf(submission, [verdict]);
          if (!isAsClaimed(row)) process.stderr.write(`${explain(row)}\n`);
          progress(++done, submissions.length * repeat, submission);
        },
        { workers },
      );
    }
    return submissions.map((submission) => rowOf(submission, verdicts.get(submission)!));
  } finally {
    for (const server of servers) await server[Symbol.asyncDispose]();
  }
}

/** Those of all katas in turn: a judge that mostly waits is best company for one that mostly reckons. */
function mixed(submissions: readonly Submission[]): Submission[] {
  return [...Map.groupBy(submissions, ({ slug }) => slug).values()]
    .flatMap((own) => own.map((submission, index) => ({ submission, place: (index + 0.5) / own.length })))
    .sort((one, other) => one.place - other.place)
    .map(({ submission }) => submission);
}

function rowOf(submission: Submission, verdicts: readonly Verdict[]): FullRow {
  const promises = Math.max(0, ...verdicts.map((verdict) => verdict.promises.length));
  const broken = Array.from(
    { length: promises },
    (_, index) => verdicts.filter((verdict) => verdict.promises[index]?.held !== true).length,
  );
  const notJudged = Array.from({ length: promises }, (_, index) => {
    const reasons = verdicts.map((verdict) => verdict.promises[index]?.notJudged);
    return reasons.every((reason) => reason !== undefined) ? reasons[0] : undefined;
  });
  const times = verdicts
    .map((verdict) => verdict.promises.reduce((sum, { durationMs }) => sum + durationMs, 0))
    .sort((one, other) => one - other);
  return {
    submission,
    broken,
    notJudged,
    rounds: promises === 0 ? 0 : verdicts.length,
    medianMs: times[times.length >> 1] ?? 0,
    verdicts,
  };
}

/** Why a submission's verdict is not what its file claims: the first round in which it was not. */
function explain({ submission, verdicts }: FullRow): string {
  const lines = [`${submission.source} is not judged as it claims:`];
  const trouble = verdicts.find((verdict) => verdict.trouble !== undefined)?.trouble;
  if (trouble !== undefined) lines.push(`  the judge could not run: ${trouble}`);
  for (const [index] of (verdicts[0]?.promises ?? []).entries()) {
    if (verdicts.every((verdict) => verdict.promises[index]?.notJudged !== undefined)) continue;
    const claimed = submission.breaks.includes(index + 1);
    const odd = verdicts.findIndex((verdict) => verdict.promises[index]?.held === claimed);
    if (odd === -1) continue;
    const promise = verdicts[odd]!.promises[index]!;
    lines.push(
      `  promise ${index + 1} ${claimed ? 'was to break, and held' : 'was to hold, and broke'} (round ${odd + 1} of ${verdicts.length})`,
    );
    if (promise.seen !== undefined) lines.push(promise.seen.replace(/^/gm, '    '));
  }
  return lines.join('\n');
}

function progress(done: number, all: number, { slug, name }: Submission): void {
  if (process.stderr.isTTY)
    process.stderr.write(done === all ? '\r\x1b[K' : `\r\x1b[K${done} of ${all} judged, ${slug} ${name}`);
  else if (done % 10 === 0 || done === all) process.stderr.write(`${done} of ${all} judged\n`);
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('It must be a whole number from 1.');
  return value;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
