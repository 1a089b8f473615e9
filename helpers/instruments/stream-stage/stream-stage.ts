import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

// For the `inside.ts` of a judge of streams: its bundle is evaluated before the module loads, so these are Node's own.
const { clearTimeout, setImmediate, setTimeout } = globalThis;
const { cpuUsage } = process;
const nowMs = performance.now.bind(performance);

/** How something ended: well, with the planned error, with another error, or not at all. */
export type Ending = 'done' | 'failed as planned' | 'still waiting' | `failed: ${string}`;

/**
 * How long the judge waits for something that never comes, in ms: of time in which the process has nothing to do, and of all time,
 * for a module that is always busy. A step counts as `stepMs` at most, however long it takes on a busy machine.
 */
const limits = { idleMs: 1_000, allMs: 8_000 };
const stepMs = 5;
/** A count that did not change in so many looks, each in a later turn of the event loop, stands still. */
const looksAtStillCount = 20;

/** How a promise ended. */
export async function ending(promise: Promise<unknown>, planned?: Error): Promise<Ending> {
  let ended: Ending | undefined;
  const watched = promise.then(
    () => (ended = 'done'),
    (error: unknown) => (ended = planned !== undefined && error === planned ? 'failed as planned' : failure(error)),
  );
  await looks(() => ended !== undefined, watched);
  return ended ?? 'still waiting';
}

/** Pipes the streams into each other. Returns how that ended. */
export async function flow(streams: readonly unknown[], planned?: Error): Promise<Ending> {
  return await ending(pipeline(streams as [NodeJS.ReadableStream, NodeJS.WritableStream]), planned);
}

/** Waits until the condition holds. Returns whether it ever did. */
export async function comes(condition: () => boolean): Promise<boolean> {
  return await looks(condition);
}

/** Looks in each step, and at once when `change` settles, after which the condition must hold. */
async function looks(condition: () => boolean, change?: Promise<unknown>): Promise<boolean> {
  let last = timesNow();
  for (let [idleMs, allMs] = [0, 0]; !condition();) {
    if (idleMs > limits.idleMs || allMs > limits.allMs) return false;
    await stepOr(change);
    const now = timesNow();
    const passedMs = Math.min(now.atMs - last.atMs, stepMs);
    idleMs += Math.max(0, passedMs - (now.usedMs - last.usedMs));
    allMs += passedMs;
    last = now;
  }
  return true;
}

function timesNow() {
  const { user, system } = cpuUsage();
  return { atMs: nowMs(), usedMs: (user + system) / 1000 };
}

function stepOr(change: Promise<unknown> | undefined): Promise<unknown> {
  const { promise: step, resolve } = Promise.withResolvers<unknown>();
  const timer = setTimeout(resolve, stepMs);
  return change ? Promise.race([change, step]).finally(() => clearTimeout(timer)) : step;
}

/**
 * Looks at a count until it stands still, and returns it. Between two looks every timer of up to 1 ms, every immediate and
 * every callback of finished I/O gets its turn. The count must have an upper bound.
 */
export async function standstill(count: () => number): Promise<number> {
  let last = count();
  for (let still = 0; still < looksAtStillCount; still++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    await new Promise((resolve) => setImmediate(resolve));
    if (count() !== last) still = -1;
    last = count();
  }
  return last;
}

export interface SourceOptions {
  /** Whether `read` pushes before it returns; otherwise it pushes in a later turn, as a file or a socket does. */
  readonly pushesAtOnce?: boolean;
  /** What happens after the last chunk: the source ends, fails, is destroyed without an error, or just gives nothing more. */
  readonly afterwards?: 'end' | 'stall' | 'destroy' | Error;
}

/** A source that counts the chunks that were pulled from it. It stays open until somebody destroys it. */
export class CountedSource extends Readable {
  pulled = 0;
  readonly #chunk: (index: number) => unknown;
  readonly #count: number;
  readonly #options: SourceOptions;

  constructor(count: number, chunk: (index: number) => unknown, options: SourceOptions = {}) {
    super({ objectMode: true, highWaterMark: 1 });
    this.#count = count;
    this.#chunk = chunk;
    this.#options = options;
  }

  override _read(): void {
    if (this.#options.pushesAtOnce) this.#give();
    else setImmediate(() => this.#give());
  }

  #give(): void {
    const { afterwards = 'end' } = this.#options;
    if (this.pulled < this.#count) this.push(this.#chunk(this.pulled++));
    else if (afterwards === 'end') this.push(null);
    else if (afterwards !== 'stall') this.destroy(afterwards === 'destroy' ? undefined : afterwards);
  }
}

/** A source that gives these chunks. */
export function sourceOf(chunks: readonly unknown[], options?: SourceOptions): CountedSource {
  return new CountedSource(chunks.length, (index) => chunks[index], options);
}

/** A reader that takes everything, and hands it to `take`. */
export function readerThat<Chunk>(take: (chunk: Chunk) => void): Writable {
  return new Writable({
    objectMode: true,
    highWaterMark: 1,
    write(chunk: Chunk, _encoding, callback) {
      take(chunk);
      callback();
    },
  });
}

/** Cuts a text or bytes at these places, as far as it is that long. Chunks may be empty. */
export function cutAt<Text extends string | Uint8Array>(text: Text, cuts: readonly number[]): Text[] {
  const places = [0, ...cuts.map((cut) => Math.min(cut, text.length)), text.length].sort((a, b) => a - b);
  return places.slice(1).map((place, index) => text.slice(places[index], place) as Text);
}

function failure(error: unknown): Ending {
  if (!(error instanceof Error)) return `failed: ${String(error)}`;
  const kind = [TypeError, RangeError].find((one) => error instanceof one)?.name ?? 'Error';
  return `failed: ${kind}: ${error.message}`;
}
