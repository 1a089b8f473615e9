import { fileURLToPath } from 'node:url';
import { runToEnd } from '../../foundations/processes/run-to-end.ts';
import { plainEssence } from './similarity.ts';

/** What a module's text tells without running it. */
export interface StrangersText {
  /** The names that it exports; undefined when they cannot be told. */
  readonly exports: readonly string[] | undefined;
  /** What of it is compared; see similarity.ts. */
  readonly essence: string;
}

const processFile = fileURLToPath(new URL('read-stranger-process.ts', import.meta.url));
const timeMs = 20_000;
const outputBytes = 1024 * 1024;

/**
 * Reads a candidate's text in a process of its own, since there are texts that no parser comes back from: a hundred thousand
 * operators in a row end it, or keep it busy for minutes. Such a text exports nothing that is known. Never throws.
 */
export async function readStranger(source: string): Promise<StrangersText> {
  const { code, met, stdout } = await runToEnd(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', processFile],
    { input: source, timeMs, outputBytes },
  );
  if (code !== 0 || met !== undefined) return { exports: undefined, essence: plainEssence(source) };
  return JSON.parse(stdout.toString()) as StrangersText;
}
