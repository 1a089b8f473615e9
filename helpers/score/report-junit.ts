import { getJunitXml } from 'junit-xml';
import type { Score } from './score.ts';

/** The score as JUnit XML: a suite for each kata, a test case for each promise. */
export function junitReport(score: Score): string {
  const xml = getJunitXml({
    name: 'backend-katas',
    time: score.durationMs / 1000,
    suites: score.katas.map((kata) => ({
      name: kata.slug,
      time: kata.judgedWith.durationMs / 1000,
      testCases: kata.promises.map(({ number, tier, text, held, seen, stack, printed, durationMs }) => ({
        name: `${number}. ${text}`,
        classname: `${kata.slug}.${tier}`,
        time: durationMs / 1000,
        ...(!held && { failures: [{ message: [seen, stack].filter(Boolean).join('\n'), type: 'broken promise' }] }),
        ...(printed !== null && { systemOut: [printed] }),
      })),
    })),
  });
  return xml.endsWith('\n') ? xml : `${xml}\n`;
}
