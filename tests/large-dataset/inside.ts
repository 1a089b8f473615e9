import { readPipe } from '../../helpers/instruments/event-loop/read-pipe.ts';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import type * as Kata from '../../katas/large-dataset/large-dataset.ts';

/** How a call has ended. */
export interface Outcome {
  readonly how: 'done' | 'failed' | 'failed, with what is no Error';
  readonly report?: Kata.Report;
  readonly name: string;
  readonly message: string;
  /** What onProgress was called with. */
  readonly shares: readonly number[];
  readonly wasAborted: boolean;
}

/**
 * When the signal is aborted: never, when no more is read, after so many turns of the event loop, or in the turn after a progress of at
 * least this share. A `reason` is the message of an Error with which it is aborted.
 */
export type AbortAt =
  | { readonly turns: number; readonly reason?: string }
  | { readonly share: number }
  | 'no more is read'
  | 'never';

export interface Call {
  readonly path: string;
  /** Without it, digestLog is given no signal. */
  readonly abortAt?: AbortAt;
  /** A named pipe in which the process waits before an abort after so many turns. */
  readonly pipe?: string;
}

/** A log of 300 MB has some thousand chunks. */
const mostShares = 100_000;

/** So many turns of the event loop without a request for a file: no more is read for now. */
const turnsOfRest = 100;

/** Digests these files at the same time. */
export async function digestTogether({
  args: paths,
  ...inside
}: Inside<typeof Kata, readonly string[]>): Promise<Outcome[]> {
  return await Promise.all(paths.map((path) => digest({ ...inside, args: { path } })));
}

/** Calls digestLog, and tells how that ended. */
export async function digest({ kata, args }: Inside<typeof Kata, Call>): Promise<Outcome> {
  const { path, abortAt, pipe } = args;
  const shares: number[] = [];
  const controller = new AbortController();
  const reason = typeof abortAt === 'object' && 'reason' in abortAt ? new Error(abortAt.reason) : undefined;
  const abort = () => {
    if (pipe !== undefined) readPipe(kata, pipe);
    controller.abort(reason);
  };
  const abortIn = (turns: number) => (turns === 0 ? abort() : void setImmediate(() => abortIn(turns - 1)));
  if (typeof abortAt === 'object' && 'turns' in abortAt) abortIn(abortAt.turns);
  let isOver = false;
  const abortAtRest = (turns: number): void => {
    if (isOver) return;
    if (turns === turnsOfRest) return controller.abort();
    // Whoever closes the file is done with it.
    const isBusy = process.getActiveResourcesInfo().some((type) => /^(FSReq|CloseReq)/.test(type));
    setImmediate(() => abortAtRest(isBusy ? 0 : turns + 1));
  };
  if (abortAt === 'no more is read') abortAtRest(0);
  const onProgress = (share: number) => {
    if (shares.length < mostShares) shares.push(share);
    if (typeof abortAt === 'object' && 'share' in abortAt && share >= abortAt.share && share > 0) abortIn(1);
  };
  const work = async () =>
    await kata.digestLog(path, { onProgress, ...(abortAt !== undefined && { signal: controller.signal }) });
  const ended = await work().then(
    (report) => ({ how: 'done', report, name: '', message: '' }) as const,
    (error: unknown) =>
      error instanceof Error
        ? ({ how: 'failed', name: String(error.name), message: String(error.message).slice(0, 2000) } as const)
        : ({ how: 'failed, with what is no Error', name: '', message: '' } as const),
  );
  isOver = true;
  return { ...ended, shares, wasAborted: controller.signal.aborted };
}
