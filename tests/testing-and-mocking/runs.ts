import { randomInt } from 'node:crypto';
import { SubjectError } from '../../helpers/judging/subject/subject-error.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import type * as Kata from '../../katas/testing-and-mocking/testing-and-mocking.ts';
import { type RunOrder, type RunReport, runSuite } from './inside.ts';
import type { Modules, WrongModule } from './modules.ts';

/** How many processes work side by side. */
const lanes = 3;
/** A suite of more tests than this has not each of them directly after each other one. */
const mostOrders = 60;

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
  /** On the right module, with the tests in other orders. */
  readonly reordered: readonly Outcome[];
  /** In one process: twice on the right module, twice on a wrong one, and on the right one again. */
  readonly repeated: readonly Outcome[];
  /** On the right module, in the process in which the suite has just failed on this wrong one. */
  readonly afterWrong: readonly WrongRun[];
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
 * known to fail, comes back to the right one after each wrong one, and ends with it, so a suite that leaves something behind, counts its
 * runs or compares modules with each other shows it.
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
  const orders = ordersOf(draw.order(length)).map((order) => ({ source, order }));
  const others = otherRight.map((other) => ({ source: other }));
  const isRepeatable = isAsExpected([right, ...repeated]);
  const shared = isRepeatable ? await inSharedProcesses(fresh, wrong, [...others, ...orders], sample, open) : undefined;
  if (shared) {
    return {
      right,
      others: {
        ...shared,
        otherRight: shared.onRight.slice(0, others.length),
        reordered: shared.onRight.slice(others.length),
        repeated: [right, ...repeated],
      },
    };
  }

  const all = await inProcessesOfTheirOwn(fresh, [...wrong, ...others]);
  const wrongRuns = wrong.map((module, at) => ({ ...module, outcome: all[at]! }));
  const failed = wrongRuns.filter(({ outcome }) => faultIn(outcome) !== undefined);
  const [example = sample] = failed;
  const inTurn = await inOneProcess(fresh, [failed.flatMap((module) => [module, open])]);
  return {
    right,
    others: {
      wrong: wrongRuns,
      otherRight: all.slice(wrong.length),
      // Where not even two runs on the right module can share a process, two orders tell enough.
      reordered:
        faultIn(repeated[0]!) === undefined && testsIn(repeated[0]!) === length
          ? await inOneProcess(fresh, [orders])
          : await inProcessesOfTheirOwn(fresh, orders.slice(0, 2)),
      repeated: await inOneProcess(fresh, [[open], [open], [example], [example], [open]]),
      afterWrong: failed.map((module, at) => ({ ...module, outcome: inTurn[2 * at + 1]! })),
    },
  };
}

/**
 * Orders of tests, by their numbers: the given one backward, and some in which each test comes directly after each other one.
 * @param order every number from 0, in any order
 * @see E. J. Williams, "Experimental designs balanced for the estimation of residual effects of treatments", 1949
 */
function ordersOf(order: readonly number[]): number[][] {
  // An odd count has such orders with one number more, which is left out of them again.
  const size = order.length + (order.length % 2);
  const zigzag = Array.from({ length: size }, (_, at) => (at % 2 === 0 ? at / 2 : size - (at + 1) / 2));
  const rows = Array.from({ length: Math.min(size, mostOrders) }, (_, row) =>
    zigzag.map((number) => (number + row) % size).filter((number) => number < order.length),
  );
  const inOrder = [...order.keys()];
  return [inOrder.toReversed(), ...rows.map((row) => row.map((number) => order[number]!))];
}

/** Why the suite failed; undefined when it passed. */
export function faultIn(outcome: Outcome): string | undefined {
  if ('error' in outcome) return outcome.error.message;
  const { tests, fault } = outcome.report;
  if (fault !== undefined) return `suite failed: ${fault}`;
  const failed = tests.find((test) => test.fault !== undefined);
  return failed && `test "${failed.name}" failed: ${failed.fault}`;
}

/** How many tests the suite added. */
export function testsIn(outcome: Outcome): number {
  return 'error' in outcome ? 0 : outcome.report.tests.length;
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
 * Undefined when the suite passes on `first`, on which it should fail, or fails on `open` after any other run: then the runs of a
 * process influence each other.
 */
async function inSharedProcesses(
  fresh: Fresh,
  wrong: readonly WrongModule[],
  rightRuns: readonly RunOrder[],
  first: RunOrder,
  open: RunOrder,
): Promise<(Pick<OtherRuns, 'wrong' | 'afterWrong'> & { readonly onRight: readonly Outcome[] }) | undefined> {
  const shares = Array.from({ length: lanes }, (): RunOrder[][] => []);
  const units = [...wrong.map((module): RunOrder[] => [module, open]), ...rightRuns.map((run) => [run])];
  for (const [at, unit] of shuffled(units).entries()) shares[at % lanes]!.push(unit);
  const results = new Map<RunOrder, Outcome[]>();
  const work = async (share: readonly RunOrder[][]) => {
    const [onFirst, ...outcomes] = await inOneProcess(fresh, [[first, ...share.flat(), open]]);
    for (const unit of share) results.set(unit[0]!, outcomes.splice(0, unit.length));
    return faultIn(onFirst!) !== undefined && faultIn(outcomes[0]!) === undefined;
  };
  const areSound = await Promise.all(shares.map(work));
  const wrongRuns = wrong.map((module) => ({ ...module, outcome: results.get(module)![0]! }));
  const afterWrong = wrong.map((module) => ({ ...module, outcome: results.get(module)![1]! }));
  if (!areSound.every(Boolean) || afterWrong.some(({ outcome }) => faultIn(outcome) !== undefined)) return undefined;
  return { wrong: wrongRuns, afterWrong, onRight: rightRuns.map((run) => results.get(run)![0]!) };
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
