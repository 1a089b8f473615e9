import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { setTimeout } from 'node:timers';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import type { AccountOptions } from '../../helpers/instruments/mysql/test-database.ts';
import type * as Kata from '../../katas/bulk-import/bulk-import.ts';

/** How an import ended. */
export type Outcome = { readonly rows: number; readonly skipped: number } | { readonly error: string };

interface Kept {
  underWay: Promise<Outcome>;
}

const ports = new Set<number>();
subscribe('net.client.socket', (message) => {
  (message as { socket: Socket }).socket.on('connectionAttempt', (_ip, port) => ports.add(port));
});

/** Begins an import and does not wait for its end. */
export function beginImport({
  kata,
  args: { path, options },
  kept,
}: Inside<typeof Kata, { path: string; options: AccountOptions }, Kept>): void {
  const run = async () => {
    const { rows, skipped } = await kata.importCsv(path, options);
    return { rows, skipped };
  };
  ports.clear();
  kept.underWay = run().catch((error: unknown) => ({ error: String((error as Error)?.message ?? error) }));
}

/** The outcome of the import, or undefined when it does not end within `waitMs`. */
export function outcomeWithin({
  args: { waitMs },
  kept,
}: Inside<typeof Kata, { waitMs: number }, Kept>): Promise<Outcome | undefined> {
  return Promise.race([
    kept.underWay,
    new Promise<undefined>((resolve) => void setTimeout(resolve, waitMs, undefined)),
  ]);
}

/** The ports that the process has tried to connect to since the import began, whether or not it got a connection. */
export function portsTried(): number[] {
  return [...ports];
}
