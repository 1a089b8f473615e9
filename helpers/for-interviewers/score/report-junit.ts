import reportBuilder, { type Builder } from 'junit-report-builder';
import type { Score } from './score.ts';

/** The score as JUnit XML: a suite for each kata, a test case for each promise. */
export function junitReport(score: Score): string {
  // Its types tell of one default more than there is.
  const report = (reportBuilder as unknown as Builder).newBuilder();
  for (const kata of score.katas) {
    const suite = report
      .testSuite()
      .name(kata.slug)
      .timestamp(score.scoredAt)
      .time(kata.judgedWith.durationMs / 1000);
    for (const { number, tier, text, held, judged, seen, stack, printed, durationMs } of kata.promises) {
      const testCase = suite
        .testCase()
        .className(`${kata.slug}.${tier}`)
        .name(`${number}. ${text}`)
        .time(durationMs / 1000);
      if (!judged) testCase.skipped();
      else if (!held)
        testCase
          .failure(seen?.trimEnd().split('\n').at(-1) ?? 'broken', 'broken promise')
          .stacktrace([seen, stack].filter(Boolean).join('\n'));
      if (!judged && seen !== null) testCase.standardOutput(seen);
      else if (printed !== null) testCase.standardOutput(printed);
    }
  }
  return report.build();
}
