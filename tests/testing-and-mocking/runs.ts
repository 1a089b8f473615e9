import { randomInt } from 'node:crypto';
import { SubjectError } from '../../helpers/judging/subject/subject-error.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import type * as Kata from '../../katas/testing-and-mocking/testing-and-mocking.ts';
import { type RunOrder, type RunReport, runSuite } from './inside.ts';
import type { Modules, WrongModule } from './modules.ts';

/** How many processes work side by side. */
const lanes = 3;

/** What came of one run of the suite: its report, or why the process had none. */
export type Outcome = { readonly report: RunReport } | { readonly error: Error };

/** What came of the suite on a wrong module. */
export interface WrongRun extends WrongModule {
  readonly outcome: Outcome;
}

/** What came of the suite on every module but the open one. */
interface OtherRuns {
  readonly wrong: readonly WrongRun[];
  readonly otherRight: readonly Outcome[];
  /** On the right module: with the tests in reverse order, and in a drawn one. */
  readonly reordered: readonly Outcome[];
  /** In one process: twice on the right module, twice on a wrong one, and on the right one again. */
  readonly repeated: readonly Outcome[];
}

export interface Runs {
  readonly right: Outcome;
  /** Undefined when the suite does not pass on the right module, or pays no order there: then nothing else can be judged. */
  readonly others?: OtherRuns;
}

/** Starts a process with the suite. */
type Fresh = () => Promise<Subject<typeof Kata>>;

/**
 * Runs the suite on every module. Each run has a process of its own, unless the suite has shown that runs in one process don't influence
 * each other: then a few processes do all runs, in an order drawn without a seed. Each of them begins with a module on which the suite is
 * known to fail and ends with the right one, so a suite that counts its runs or compares modules with each other shows it.
 */
export async function runOnAll(
  { right: source, otherRight, wrong }: Modules,
  fresh: Fresh,
  draw: { wrong(modules: readonly WrongModule[]): WrongModule; order(count: number): readonly number[] },
): Promise<Runs> {
  const open = { source };
  const sample = draw.wrong(wrong);
  const [right, ...repeated] = await inOneProcess(fresh, [[open], [open, sample, sample, open]]);
  if (!right || !('report' in right) || faultIn(right) !== undefined || right.report.receipts === 0)
    return { right: right! };

  const { length } = right.report.tests;
  const reversed = { source, order: Array.from({ length }, (_, at) => length - 1 - at) };
  const drawn = { source, order: draw.order(length) };
  const rightRuns = [...otherRight.map((other) => ({ source: other })), reversed, drawn];
  const isRepeatable = isAsExpected([right, ...repeated]);
  const outcomes =
    (isRepeatable && (await inSharedProcesses(fresh, [...wrong, ...rightRuns], sample, open))) || undefined;
  const all = outcomes ?? (await inProcessesOfTheirOwn(fresh, [...wrong, ...rightRuns]));

  const wrongRuns = wrong.map((module, at) => ({ ...module, outcome: all[at]! }));
  const failed = wrongRuns.find(({ outcome }) => faultIn(outcome) !== undefined) ?? sample;
  return {
    right,
    others: {
      wrong: wrongRuns,
      otherRight: all.slice(wrong.length, wrong.length + otherRight.length),
      reordered: all.slice(wrong.length + otherRight.length),
      repeated: outcomes
        ? [right, ...repeated]
        : await inOneProcess(fresh, [[open], [open], [failed], [failed], [open]]),
    },
  };
}

/** Why the suite failed; undefined when it passed. */
export function faultIn(outcome: Outcome): string | undefined {
  if ('error' in outcome) return outcome.error.message;
  const { tests, fault } = outcome.report;
  if (fault !== undefined) return `suite failed: ${fault}`;
  const failed = tests.find((test) => test.fault !== undefined);
  return failed && `test "${failed.name}" failed: ${failed.fault}`;
}

/** Two runs on the right module, two on a wrong one and one on the right one, with as many tests each time. */
export function isAsExpected(repeated: readonly Outcome[]): boolean {
  const counts = new Set(repeated.map((outcome) => ('report' in outcome ? outcome.report.tests.length : -1)));
  return (
    counts.size === 1 &&
    repeated.map((outcome) => faultIn(outcome) === undefined).join() === 'true,true,false,false,true'
  );
}

/**
 * Undefined when the suite passes on `first`, on which it should fail, or fails on `last`, on which it should pass: then the runs of a process
 * influence each other.
 */
async function inSharedProcesses(
  fresh: Fresh,
  orders: readonly RunOrder[],
  first: RunOrder,
  last: RunOrder,
): Promise<Outcome[] | undefined> {
  const shares = Array.from({ length: lanes }, (): RunOrder[] => []);
  for (const [at, order] of shuffled(orders).entries()) shares[at % lanes]!.push(order);
  const processes = await Promise.all(shares.map((share) => inOneProcess(fresh, [[first, ...share, last]])));
  const isSound = processes.every(
    (outcomes) => faultIn(outcomes[0]!) !== undefined && faultIn(outcomes.at(-1)!) === undefined,
  );
  const byOrder = new Map(shares.flatMap((share, at) => share.map((order, run) => [order, processes[at]![run + 1]!])));
  return isSound ? orders.map((order) => byOrder.get(order)!) : undefined;
}

async function inProcessesOfTheirOwn(fresh: Fresh, orders: readonly RunOrder[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const waiting = shuffled([...orders.entries()]);
  const work = async () => {
    for (let next = waiting.pop(); next; next = waiting.pop())
      [outcomes[next[0]]] = (await inOneProcess(fresh, [[next[1]]])) as [Outcome];
  };
  await Promise.all(Array.from({ length: lanes }, work));
  return outcomes;
}

/** One call for each list of runs. A call that fails has no reports, and no call comes after it. */
async function inOneProcess(fresh: Fresh, calls: readonly (readonly RunOrder[])[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  try {
    await using subject = await fresh();
    for (const orders of calls) {
      const plain = orders.map(({ source, order }) => ({ source, ...(order && { order }) }));
      outcomes.push(...(await subject.run(runSuite, plain)).map((report) => ({ report })));
    }
    return outcomes;
  } catch (error) {
    // What the machine or the judge lacks says nothing about the suite.
    if (!(error instanceof SubjectError) || error.message.startsWith('No process could be started')) throw error;
    const missing = calls.flat().slice(outcomes.length);
    return [...outcomes, ...missing.map(() => ({ error }))];
  }
}

function shuffled<Item>(items: readonly Item[]): Item[] {
  return items
    .map((item) => ({ item, rank: randomInt(2 ** 32) }))
    .sort((left, right) => left.rank - right.rank)
    .map(({ item }) => item);
}
