import { availableParallelism } from 'node:os';
import { readKata } from '../../foundations/catalogue/catalogue.ts';
import type { Submission } from '../../foundations/catalogue/submissions.ts';
import { startBusyLoops } from '../../foundations/processes/busy-loops.ts';
import { judge } from '../../judging/run/judge.ts';
import type { Verdict } from '../../judging/verdict/verdict.ts';
import type { MysqlServer } from '../../mysql-server/source.ts';
import { startServer } from '../../mysql-server/start-server.ts';
import { judgeInLanes } from './judge-in-lanes.ts';
import { type FullRow, explain, rowOf, standingOf } from './row.ts';
import { note, say, showProgress } from '../../foundations/command-line/terminal.ts';

/** How often a verdict that differs from its claim is judged again, with no other judge beside it. */
const timesAgain = 3;

/** MySQL servers for so many judges side by side; none when no kata of these needs one. */
export async function startServers(
  slugs: readonly string[],
  load: boolean,
): Promise<AsyncDisposable & { readonly servers: readonly MysqlServer[]; readonly workers: number }> {
  const servers: MysqlServer[] = [];
  const needsMysql = slugs.some((slug) => readKata(slug).needs.includes('mysql'));
  // One more than cores, for a judge also waits; another one makes no run shorter. Twice as many under load, where each gets half as much.
  const workers = Math.min(needsMysql ? 4 : Infinity, availableParallelism() + 1) * (load ? 2 : 1);
  const dispose = async () => {
    for (const server of servers) await server[Symbol.asyncDispose]();
  };
  try {
    // One after the other: the first may have to fill the cache that the others start from.
    for (let lane = 0; needsMysql && lane < workers; lane++) servers.push(await startServer({ onProgress: note }));
  } catch (error) {
    await dispose();
    throw error;
  }
  return { servers, workers, [Symbol.asyncDispose]: dispose };
}

/**
 * Judges these submissions side by side; one whose verdict differs from its claim, three more times alone.
 * @param load whether all cores are kept busy beside it
 * @param whole whether wrong answers are judged by all promises; else only by those that they break, which says most for its cost
 */
export async function judgeClaims(
  submissions: readonly Submission[],
  { load, whole }: { readonly load: boolean; readonly whole: boolean },
): Promise<FullRow[]> {
  using stack = new DisposableStack();
  if (load) stack.use(startBusyLoops(2 * availableParallelism()));
  await using lanes = await startServers([...new Set(submissions.map(({ slug }) => slug))], load);
  const { servers, workers } = lanes;
  const [first] = servers;
  if (first)
    say(`MySQL from ${first.source}: ${first.flavour} ${first.version}, ${servers.length} servers side by side`);
  const addresses = servers.map(({ host, port, user, password }) => ({ host, port, user, password }));
  const verdicts = new Map<Submission, Verdict[]>(submissions.map((submission) => [submission, []]));
  let done = 0;
  const asked = (submission: Submission) => ({
    ...submission,
    submission,
    ...(!whole && submission.name.startsWith('rejected/') && { promises: submission.breaks }),
  });
  await judgeInLanes(
    mixed(submissions).map(asked),
    { lanes: workers, mysqlServers: addresses },
    ({ submission }, verdict) => {
      verdicts.get(submission)!.push(verdict);
      const row = rowOf(submission, [verdict]);
      if (standingOf(row) !== 'as claimed') note(explain(row));
      progress(++done, submissions.length, submission);
    },
  );
  const rows = () => submissions.map((submission) => rowOf(submission, verdicts.get(submission)!));
  for (const { submission } of rows().filter((row) => standingOf(row) !== 'as claimed')) {
    note(`${submission.slug} ${submission.name} is judged ${timesAgain} more times, alone`);
    for (let time = 0; time < timesAgain; time++) {
      await judge([asked(submission)], addresses.slice(0, 1), (_, verdict) => verdicts.get(submission)!.push(verdict), {
        workers: 1,
      });
    }
  }
  return rows();
}

/** Those of all katas in turn: a judge that mostly waits is best company for one that mostly reckons. */
function mixed(submissions: readonly Submission[]): Submission[] {
  return [...Map.groupBy(submissions, ({ slug }) => slug).values()]
    .flatMap((own) => own.map((submission, index) => ({ submission, place: (index + 0.5) / own.length })))
    .sort((one, other) => one.place - other.place)
    .map(({ submission }) => submission);
}

function progress(done: number, all: number, { slug, name }: Submission): void {
  const isTenth = done % 10 === 0 || done === all;
  if (process.stderr.isTTY) showProgress(done === all ? '' : `${done} of ${all} judged, ${slug} ${name}`);
  else if (isTenth) note(`${done} of ${all} judged`);
}
