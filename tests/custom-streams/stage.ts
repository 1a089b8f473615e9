import type { StreamStage } from '../../helpers/instruments/stream-stage/stream-stage.ts';
import type * as Kata from '../../katas/custom-streams/custom-streams.ts';

/** What the judge has in the module's process, beside what serves all streams. */
interface Stage extends StreamStage {
  /** A source that counts. Without numbers it gives all from `first` (by default 1) on, and ends where nobody should come. */
  countedSource(numbers?: readonly number[], first?: number): CountedSource;
  /** A save that takes its time, and then notes what it was given. */
  notingSave(): { save: Kata.Save; saved: number[]; sizes: number[] };
  /** A save that is under way until the judge lets it go. */
  heldSave(): HeldSave;
}

interface CountedSource extends Iterable<number> {
  pulled: number;
  /** Bytes of all lines that hold the pulled numbers. */
  pulledBytes: number;
  /** How often it was asked for an iterator, and how often one was told that nobody wants more. */
  iterators: number;
  returns: number;
}

interface HeldSave {
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

export interface Kept {
  streams: StreamStage;
  stage: Stage;
}

/** For `evaluate`, after `setStreamStage`: puts the rest of the stage into the module's process. */
export function setStage(_kata: typeof Kata, _args: undefined, kept: Kept): void {
  const { ending, turns } = kept.streams;
  const endlessLimit = 20_000;

  function countedSource(numbers?: readonly number[], first = 1): CountedSource {
    const limit = numbers?.length ?? endlessLimit;
    const source: CountedSource = {
      pulled: 0,
      pulledBytes: 0,
      iterators: 0,
      returns: 0,
      [Symbol.iterator]() {
        source.iterators++;
        return {
          next() {
            if (source.pulled >= limit || source.returns > 0) return { done: true, value: undefined };
            const value = numbers?.[source.pulled] ?? source.pulled + first;
            source.pulled++;
            source.pulledBytes += `${value}\n`.length;
            return { done: false, value };
          },
          return() {
            source.returns++;
            return { done: true, value: undefined };
          },
        };
      },
    };
    return source;
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

  kept.stage = { ...kept.streams, countedSource, notingSave, heldSave };
}
