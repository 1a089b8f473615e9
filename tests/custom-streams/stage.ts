import type { Subject, Tools } from '../../helpers/subject/subject.ts';
import type * as Kata from '../../katas/custom-streams/custom-streams.ts';

/** What the judge has in the module's process from one call to the next. */
export interface Stage {
  readonly stream: typeof import('node:stream');
  /** A source that counts. It ends by itself, or after `limit` numbers: nobody should come that far. */
  countedSource(numbers?: readonly number[]): CountedSource;
  /** Comes back when the event loop has turned so many times more. */
  turns(count: number): Promise<void>;
  /** How a promise came to its end. The limit is for one that never does. */
  ending(promise: Promise<unknown>, planned?: Error): Promise<Ending>;
  /** A stream that gives these chunks, each in a turn of its own, as a file or a socket would. */
  chunks(list: readonly unknown[]): import('node:stream').Readable;
  /** One into the other; how that came to its end. */
  flow(streams: readonly unknown[], planned?: Error): Promise<Ending>;
  /** A save that takes its time, and then notes what it was given. */
  notingSave(): { save: Kata.Save; saved: number[]; sizes: number[] };
  /** A save that is under way until the judge lets it go. */
  heldSave(): HeldSave;
}

export interface CountedSource extends Iterable<number> {
  pulled: number;
  /** Bytes of all lines that hold the pulled numbers. */
  pulledBytes: number;
  /** How often its iterator was told that nobody wants more. */
  returns: number;
}

export interface HeldSave {
  readonly save: Kata.Save;
  /** How many numbers it was given, and how many of them were let go. */
  readonly given: number;
  readonly saved: number;
  readonly calls: number;
  readonly mostAtOnce: number;
  /** Waits for a save to begin, and says whether one did. */
  begun(): Promise<boolean>;
  /** Lets go what is under way, by an error if there is one. */
  release(error?: Error): void;
}

/** How something came to its end: well, by the error that was planned, by another one, or not at all. */
export type Ending = 'done' | 'failed as planned' | 'still waiting' | `failed: ${string}`;

export type StreamsProcess = Subject<typeof Kata, { stage: Stage }>;

/** For `evaluate`: puts the stage into the module's process. */
export async function setStage(_kata: typeof Kata, _args: undefined, kept: { stage: Stage }, tools: Tools) {
  const stream = await tools.load<typeof import('node:stream')>('node:stream');
  const endlessLimit = 20_000;
  const waitingSteps = 30;

  function countedSource(numbers?: readonly number[]): CountedSource {
    const limit = numbers?.length ?? endlessLimit;
    const source: CountedSource = {
      pulled: 0,
      pulledBytes: 0,
      returns: 0,
      [Symbol.iterator]: () => ({
        next() {
          if (source.pulled >= limit || source.returns > 0) return { done: true, value: undefined };
          const value = numbers?.[source.pulled] ?? source.pulled + 1;
          source.pulled++;
          source.pulledBytes += `${value}\n`.length;
          return { done: false, value };
        },
        return() {
          source.returns++;
          return { done: true, value: undefined };
        },
      }),
    };
    return source;
  }

  async function turns(count: number) {
    for (let left = count; left > 0; left--) await new Promise((resolve) => setImmediate(resolve));
  }

  async function ending(promise: Promise<unknown>, planned?: Error): Promise<Ending> {
    let ended: Ending | undefined;
    const watched = promise.then(
      () => (ended = 'done'),
      (error: unknown) =>
        (ended =
          planned !== undefined && error === planned
            ? 'failed as planned'
            : `failed: ${error instanceof TypeError ? 'TypeError: ' : ''}${error instanceof Error ? error.message : String(error)}`),
    );
    // In steps: a machine that gives this process no time must not use up the limit.
    for (let step = 0; step < waitingSteps && ended === undefined; step++) {
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([watched, new Promise((resolve) => (timer = setTimeout(resolve, 100)))]);
      clearTimeout(timer);
    }
    return ended ?? 'still waiting';
  }

  function chunks(list: readonly unknown[]) {
    let index = 0;
    return new stream.Readable({
      objectMode: true,
      read() {
        setImmediate(() => this.push(index < list.length ? list[index++] : null));
      },
    });
  }

  async function flow(streams: readonly unknown[], planned?: Error): Promise<Ending> {
    return await ending(stream.promises.pipeline(streams as [NodeJS.ReadableStream, NodeJS.WritableStream]), planned);
  }

  function notingSave() {
    const saved: number[] = [];
    const sizes: number[] = [];
    async function save(numbers: readonly number[]) {
      const given = [...numbers];
      sizes.push(given.length);
      await turns(1);
      for (const number of given) saved.push(number);
    }
    return { save, saved, sizes };
  }

  function heldSave(): HeldSave {
    const waiting: ((error?: Error) => void)[] = [];
    let [given, saved, calls, mostAtOnce] = [0, 0, 0, 0];
    let onBegin = () => {};
    return {
      save({ length }) {
        calls++;
        given += length;
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        waiting.push((error) => {
          saved += length;
          if (error) reject(error);
          else resolve();
        });
        mostAtOnce = Math.max(mostAtOnce, waiting.length);
        onBegin();
        return promise;
      },
      get given() {
        return given;
      },
      get saved() {
        return saved;
      },
      get calls() {
        return calls;
      },
      get mostAtOnce() {
        return mostAtOnce;
      },
      async begun() {
        if (waiting.length === 0) await ending(new Promise<void>((resolve) => (onBegin = resolve)));
        return waiting.length > 0;
      },
      release(error) {
        for (const letGo of waiting.splice(0)) letGo(error);
      },
    };
  }

  kept.stage = { stream, countedSource, turns, ending, chunks, flow, notingSave, heldSave };
}
