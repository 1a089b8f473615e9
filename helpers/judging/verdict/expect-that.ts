import { assert } from 'vitest';

/** For a judge: when `holds` is false, the test fails with just this sentence, which says what was seen. */
export function expectThat(holds: boolean, sentence: string): void {
  assert(holds, sentence);
}

/** For a judge: `the server went on to read`, with 256 MB of 32 MB, fails as `the server went on to read 256 MB (limit 32 MB)`. */
export function expectAtMost(bytes: number, limitBytes: number, sentence: string): void {
  assert(bytes <= limitBytes, `${sentence} ${inWords(bytes)} (limit ${inWords(limitBytes)})`);
}

/** A number of bytes as people say it, such as `64 KB` or `256 MB`; powers of 1024. */
export function inWords(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  if (bytes < 1024 ** 2) return `${Math.round(bytes / 1024)} KB`;
  return `${Math.round(bytes / 1024 ** 2)} MB`;
}
