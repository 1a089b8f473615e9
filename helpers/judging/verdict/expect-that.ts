import { TestRunner, assert } from 'vitest';

/** A quantity that a verdict depended on. The distance to its limit is the promise's margin; `npm run verify` looks at it. */
export interface Margin {
  readonly what: string;
  readonly measured: number;
  readonly limit: number;
  /** Whether a correct answer stays below the limit or above it. */
  readonly side: 'at most' | 'at least';
}

declare module 'vitest' {
  interface TaskMeta {
    /** The quantities that this test's verdict depended on. */
    margins?: Margin[];
  }
}

/** For a judge: when `holds` is false, the test fails with just this sentence, which says what was seen. */
export function expectThat(holds: boolean, sentence: string): void {
  assert(holds, sentence);
}

/**
 * For a judge: the one way to judge by a quantity. `the server went on to read`, with 256 MB of 32 MB, fails as `the server went
 * on to read 256 MB (limit 32 MB)`. Records the margin.
 * @param unit what is counted, for the message; bytes unless told
 */
export function expectAtMost(measured: number, limit: number, sentence: string, unit = 'bytes'): void {
  recordMargin({ what: sentence, measured, limit, side: 'at most' });
  assert(measured <= limit, `${sentence} ${quantity(measured, unit)} (limit ${quantity(limit, unit)})`);
}

/** The same for a quantity that must reach its limit. */
export function expectAtLeast(measured: number, limit: number, sentence: string, unit = 'bytes'): void {
  recordMargin({ what: sentence, measured, limit, side: 'at least' });
  assert(measured >= limit, `${sentence} ${quantity(measured, unit)} (at least ${quantity(limit, unit)})`);
}

/** A number of bytes as people say it, such as `64 KB` or `256 MB`; powers of 1024. */
export function inWords(bytes: number): string {
  if (Math.abs(bytes) < 1024) return `${Math.round(bytes)} bytes`;
  if (Math.abs(bytes) < 1024 ** 2) return `${Math.round(bytes / 1024)} KB`;
  return `${Math.round(bytes / 1024 ** 2)} MB`;
}

function quantity(amount: number, unit: string): string {
  if (unit === 'bytes') return inWords(amount);
  return `${Number.isInteger(amount) ? amount : amount.toPrecision(3)} ${unit}`;
}

function recordMargin(margin: Margin): void {
  const task = TestRunner.getCurrentTest();
  if (task) (task.meta.margins ??= []).push(margin);
}
