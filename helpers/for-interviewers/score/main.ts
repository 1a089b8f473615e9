import { randomInt } from 'node:crypto';
import { basename, relative, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { chooseKatas, kataSlugs, readKata } from '../../foundations/catalogue/catalogue.ts';
import { parseArguments } from '../../foundations/command-line/parse-arguments.ts';
import { runCommand } from '../../foundations/command-line/run-command.ts';
import { UserError } from '../../foundations/command-line/user-error.ts';
import type { MysqlServer } from '../../mysql-server/source.ts';
import { type Sandbox, sandboxes } from '../../judging/subject/sandbox.ts';
import { requireMachine } from '../../foundations/places.ts';
import { readSeed } from '../../judging/drawn/seed.ts';
import { checkOutFolder } from './out-folder.ts';
import { type Score, defaultLimits } from './score.ts';
import { note, say, showProgress, wantsColor } from '../../foundations/command-line/terminal.ts';

interface Options {
  readonly katas?: string;
  readonly out?: string;
  readonly min?: number;
  readonly merge?: true;
  readonly sandbox: Sandbox;
  readonly promiseLimit: number;
  readonly kataLimit: number;
  readonly limit: number;
  readonly seed?: number;
}

// npm goes to the repository's folder first; a path is meant from where the user stands.
process.chdir(process.env.INIT_CWD ?? process.cwd());

await runCommand(async () => {
  const { args, options } = parseArguments<Options>(commandLine());
  const folder = resolve(options.out ?? `score-${new Date().toISOString().slice(0, 19).replace(/[:T]/g, '-')}`);
  checkOutFolder(folder);

  const score = options.merge ? await merge(args) : await scoreOne(args, options);

  const [{ writeReports }, { terminalReport }] = await Promise.all([
    import('./write-reports.ts'),
    import('./report-terminal.ts'),
  ]);
  const files = await writeReports(score, folder);
  say(terminalReport(score, { isColored: wantsColor(), files: files.map(shownFile) }));
  return exitCodeOf(score, options.min);
});

/** What was not judged goes before the score, for that is a lower bound then. */
function exitCodeOf({ total, katas }: Score, min = 0): number {
  const [judge, limit] = (['judge', 'limit'] as const).map((kind) =>
    katas.filter(({ stoppedBy }) => stoppedBy === kind).map(({ slug }) => slug),
  ) as [string[], string[]];
  if (judge.length > 0) {
    note(`The judge could not run to its end for ${judge.join(', ')}; score.md says why.`);
    return 2;
  }
  if (limit.length > 0) {
    note(
      `A limit was met, so not everything was judged in ${limit.join(', ')}; give more time with --promise-limit, --kata-limit or --limit.`,
    );
    return 3;
  }
  return total < min ? 1 : 0;
}

function commandLine(): Command {
  const seconds = (milliseconds: number) => milliseconds / 1000;
  return new Command('npm run score')
    .usage(
      '-- <folder | archive | kata’s file | git URL or repository[#ref]> [options]\n       npm run score -- --merge <score.json...> [options]',
    )
    .description(
      'Scores what a candidate sent: takes katas/<slug>/<slug>.ts of each kata from it and nothing else, judges each file, and\nwrites score.html, score.md, score.json and junit.xml.',
    )
    .argument('<source...>', 'what the candidate sent')
    .option('--katas <names>', 'only these katas, with commas between them (default: those that were handed out)')
    .option('--out <folder>', 'where the results go; it must be new or empty (default: score-<time>)')
    .option('--min <score>', 'exit code 1 when the total is below this', ofHundred)
    .option('--merge', 'make one score of the score.json of several parts of one candidate')
    .addOption(
      new Option(
        '--sandbox <kind>',
        'what holds the candidate’s module: Node’s permission model, or a container as well',
      )
        .choices(sandboxes)
        .default('permission-model'),
    )
    .option(
      '--promise-limit <seconds>',
      'after so many seconds a promise is not judged',
      positive,
      seconds(defaultLimits.promiseMs),
    )
    .option(
      '--kata-limit <seconds>',
      'after so many seconds what is left of a kata is not judged',
      positive,
      seconds(defaultLimits.kataMs),
    )
    .option('--limit <seconds>', 'the same for the whole', positive, seconds(defaultLimits.totalMs))
    .option('--seed <number>', 'draw the same random examples as an earlier scoring (default: a fresh one)', seedOf)
    .addHelpText(
      'after',
      `
Examples:
  npm run score -- ../jane                                   a folder
  npm run score -- jane.tar.gz --katas race-condition
  npm run score -- https://github.com/jane/katas#main --out results/jane --min 70
  npm run score -- --merge a/score.json b/score.json --out results/jane

Exit code: 0 it was scored, whatever the score; 1 the total is below --min; 2 bad input, or a judge could\nnot run; 3 a limit was met, so not everything was judged and the score is a lower bound.`,
    );
}

async function merge(files: readonly string[]): Promise<Score> {
  const [{ mergeScores }, { readScore }] = await Promise.all([import('./merge.ts'), import('./read-score.ts')]);
  return mergeScores(files.map((file) => readScore(file)));
}

async function scoreOne(args: readonly string[], options: Options): Promise<Score> {
  const [source, ...others] = args;
  if (others.length > 0)
    throw new UserError(`One candidate at a time: ${args.length} were named. Several score.json go behind --merge.`);
  const named =
    options.katas
      ?.split(',')
      .map((name) => name.trim())
      .filter(Boolean) ?? [];
  for (const slug of chooseKatas(named)) readKata(slug);
  if (options.sandbox === 'docker') {
    const { prepareContainers } = await import('../../judging/subject/container/prepare-containers.ts');
    await prepareContainers(progress);
  }
  await requireMachine();
  progress('collecting');
  const [{ collect }, { chooseKatasOf }, { scoreCandidate }, { startServer }] = await Promise.all([
    import('./collect.ts'),
    import('./choose-katas.ts'),
    import('./score-candidate.ts'),
    import('../../mysql-server/start-server.ts'),
  ]);
  const collected = chooseKatasOf(await collect(source!, kataSlugs()), named);

  let server: Promise<MysqlServer> | undefined;
  try {
    return await scoreCandidate(collected, {
      limits: {
        promiseMs: options.promiseLimit * 1000,
        kataMs: options.kataLimit * 1000,
        totalMs: options.limit * 1000,
      },
      sandbox: options.sandbox,
      // Fresh for each scoring, so that nobody can prepare for the examples that are drawn.
      seed: options.seed ?? randomInt(2 ** 31),
      server: () => (server ??= startServer({ onProgress: progress })),
      onProgress: progress,
    });
  } finally {
    progress('');
    await server?.then(
      (started) => started[Symbol.asyncDispose](),
      () => undefined,
    );
  }
}

/** On a terminal a line that moves; elsewhere nothing but the lines that take their time. */
function progress(line: string): void {
  showProgress(line, () => !/: [1-9]\d* of/.test(line));
}

function shownFile(file: string): string {
  const path = relative(process.cwd(), file);
  return path.startsWith('..') ? file : path || basename(file);
}

function ofHundred(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 100))
    throw new InvalidArgumentError('It must be a number from 0 to 100.');
  return value;
}

function seedOf(text: string): number {
  return readSeed(text, '--seed');
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 86_400)) throw new InvalidArgumentError('It must be a number of seconds above 0.');
  return value;
}
