import { createInterface } from 'node:readline';
import type { Shell } from './shell.ts';
import { StatementReader } from './statement-reader.ts';

/** Runs the statements of `input` in order, to its end or to `exit`. A last one without `;` counts. */
export async function runScript(shell: Shell, input: NodeJS.ReadableStream): Promise<void> {
  const reader = new StatementReader();
  for await (const line of createInterface({ input })) {
    for (const typed of reader.readLine(line)) {
      if ((await shell.take(typed)) === 'leave') return;
    }
  }
  for (const typed of reader.finish()) await shell.take(typed);
  await shell.idle();
}
