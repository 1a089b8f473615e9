import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/testing-and-mocking/testing-and-mocking.ts';
import type { RunReport } from './inside.ts';
import { type Kind, readModules } from './modules.ts';
import { type Outcome, type Runs, type WrongRun, faultIn, isAsExpected, runOnAll, testsIn } from './runs.ts';

const wrongCount = 12;
const leastFailures = 6;
/** For up to eight runs of a suite. A test that waits for what never happens is told without it. */
const callLimitMs = 60_000;
/** So many survivors are told in one message. */
const mostNamed = 4;

const test = judge<typeof Kata>('testing-and-mocking').extend(
  'runs',
  { scope: 'file' },
  async ({ subjects }) =>
    await runOnAll(await readModules(), () => subjects.fresh({ limitMs: callLimitMs }), {
      wrong: (modules) => drawOne(fc.constantFrom(...modules)),
      order: (length) => drawOne(fc.shuffledSubarray([...Array(length).keys()], { minLength: length })),
    }),
);

describe('core', () => {
  test('All tests of the suite must pass on checkout.ts, and at least one must pay an order there.', ({ runs }) => {
    expectRight(runs);
  });

  test('The suite must fail on at least six of the twelve wrong modules.', ({ runs }) => {
    const survivors = survivorsOf(expectRight(runs).wrong);

    expectThat(
      survivors.length <= wrongCount - leastFailures,
      `the suite fails on ${wrongCount - survivors.length} of ${wrongCount} wrong modules. It passes on ${inWords(survivors)}`,
    );
  });
});

describe('robust', () => {
  test('The suite must fail on each of the four modules that charge a wrong amount.', ({ runs }) => {
    expectFailures(runs, 'amount', 4);
  });

  test('The suite must fail on each of the two modules that take the wrong time for coupons.', ({ runs }) => {
    expectFailures(runs, 'coupon', 2);
  });

  test('The suite must fail on each of the four modules that mistreat invalid orders, declines or outages.', ({
    runs,
  }) => {
    expectFailures(runs, 'refusal', 4);
  });

  test('The suite must fail on each of the two modules that can charge a customer twice.', ({ runs }) => {
    expectFailures(runs, 'repetition', 2);
  });

  test('The suite must leave no timer, global or mock behind, whether its tests pass or fail.', ({ runs }) => {
    const { wrong } = expectTellsApart(runs);

    for (const { what, report } of reportsOf(runs.right, wrong))
      expectThat(report.left.length === 0, `after its run on ${what}, the suite left behind ${report.left.join(', ')}`);
  });

  test('The suite must open no socket, whichever module it tests.', ({ runs }) => {
    const { wrong } = expectTellsApart(runs);

    for (const { what, report } of reportsOf(runs.right, wrong))
      expectThat(report.sockets.length === 0, `in the run on ${what}, something opened ${report.sockets.join(', ')}`);
  });
});

describe('stretch', () => {
  test('The suite must pass on two other right modules.', ({ runs }) => {
    for (const outcome of expectTellsApart(runs).otherRight)
      expectPass(outcome, 'a right module that is written differently');
  });

  test('The suite must pass in any order of its tests.', ({ runs }) => {
    const [reversed, ...drawn] = expectTellsApart(runs).reordered;

    expectPass(reversed!, 'checkout.ts, with the tests in reverse order');
    for (const outcome of drawn)
      expectPass(outcome, `checkout.ts, with the tests in another order; ${whatCameBefore(outcome)}`);
  });

  test('Run again in the same process, the suite must give the same results.', ({ runs }) => {
    const { repeated, afterWrong } = expectTellsApart(runs);

    const seen = repeated.map((outcome) => faultIn(outcome) ?? `passed with ${testsIn(outcome)} tests`);
    expectThat(
      isAsExpected(repeated),
      `in one process, the suite should pass twice on checkout.ts, fail twice on a wrong module, and pass again on checkout.ts, with the same tests. Seen: ${seen.map((words, at) => `${at + 1}. ${words}`).join('; ')}`,
    );
    for (const { does, outcome } of afterWrong) {
      const where = `checkout.ts, in the process in which it has just failed on a module that ${does}`;
      expectPass(outcome, where);
      expect(testsIn(outcome), `tests on ${where}`).toBe(testsIn(repeated[0]!));
    }
  });
});

/** Whatever else is judged, the suite has to pass on the right module, and to run it. */
function expectRight({ right, others }: Runs): NonNullable<Runs['others']> {
  if ('error' in right) throw right.error;
  expectPass(right, 'checkout.ts, which is right');
  expectThat(right.report.receipts > 0, `the suite's tests pay no order on checkout.ts (tests: ${testsIn(right)})`);
  return others!;
}

function expectPass(outcome: Outcome, where: string): void {
  const fault = faultIn(outcome);
  expectThat(fault === undefined, `the suite fails on ${where}: ${fault}`);
}

/** Which test came before the one that failed. */
function whatCameBefore(outcome: Outcome): string {
  const tests = 'report' in outcome ? outcome.report.tests : [];
  const before = tests[tests.findIndex(({ fault }) => fault !== undefined) - 1];
  return before ? `this came directly after "${before.name}"` : 'this came first';
}

/** A suite that asserts nothing leaves nothing behind either: it has to fail on a wrong module first. */
function expectTellsApart(runs: Runs): NonNullable<Runs['others']> {
  const others = expectRight(runs);
  const isAnyFound = survivorsOf(others.wrong).length < wrongCount;
  expectThat(isAnyFound, 'the suite passes on all wrong modules, so there is nothing to judge yet');
  return others;
}

function expectFailures(runs: Runs, kind: Kind, count: number): void {
  const wrong = expectRight(runs).wrong.filter((one) => one.kind === kind);
  const survivors = survivorsOf(wrong);

  expect(wrong.length, 'wrong modules of this kind').toBe(count);
  expectThat(
    survivors.length === 0,
    `${survivors.length} of ${count} survived: the suite passes on ${inWords(survivors)}`,
  );
}

/** Those of the twelve on which the suite passes. */
function survivorsOf(wrong: readonly WrongRun[]): readonly WrongRun[] {
  return wrong.filter(({ kind, outcome }) => kind !== 'request' && faultIn(outcome) === undefined);
}

function inWords(wrong: readonly WrongRun[]): string {
  const first = wrong.slice(0, mostNamed).map(({ does }) => `a module that ${does}`);
  const more = wrong.length - first.length;
  return [...first, ...(more > 0 ? [`${more} more`] : [])].join('; ');
}

/** A process that hung or ended by itself on a wrong module has no report. */
function reportsOf(right: Outcome, wrong: readonly WrongRun[]): { what: string; report: RunReport }[] {
  return [{ does: 'is right', outcome: right }, ...wrong].flatMap(({ does, outcome }) =>
    'error' in outcome ? [] : [{ what: `a module that ${does}`, report: outcome.report }],
  );
}
