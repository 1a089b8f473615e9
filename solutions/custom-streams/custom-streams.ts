import { Readable, Transform, type TransformCallback, Writable } from 'node:stream';
import type * as Starter from '../../katas/custom-streams/custom-streams.ts';

type Save = Starter.Save;
type StreamOptions = Starter.StreamOptions;
type Callback = (error?: Error | null) => void;

const batchSize = 100;

/** Gives the numbers of a source, one per line or, in object mode, one per chunk. */
export class NumberGenerator extends Readable {
  readonly #source: Iterable<number>;
  #numbers: Iterator<number> | undefined;

  constructor(source: Iterable<number>, options: StreamOptions = {}) {
    super(options);
    this.#source = source;
  }

  override _read(): void {
    this.#numbers ??= this.#source[Symbol.iterator]();
    // Backpressure: when push() returns false, wait for the next call of _read.
    for (let hasRoom = true; hasRoom;) {
      const { done, value } = this.#numbers.next();
      if (done) {
        this.#numbers = undefined;
        this.push(null);
        return;
      }
      hasRoom = this.push(this.readableObjectMode ? value : `${value}\n`) && !this.destroyed;
    }
  }

  override _destroy(error: Error | null, callback: Callback): void {
    try {
      this.#numbers?.return?.();
      callback(error);
    } catch (closing) {
      callback(error ?? (closing as Error));
    }
  }
}

/** Takes numbers and gives twice each number. */
export class Doubler extends Transform {
  readonly #numbers: NumberReader;

  constructor(options: StreamOptions = {}) {
    super(options);
    this.#numbers = new NumberReader(this.writableObjectMode);
  }

  override _transform(chunk: unknown, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.#give(() => this.#numbers.read(chunk), callback);
  }

  override _flush(callback: TransformCallback): void {
    this.#give(() => this.#numbers.end(), callback);
  }

  #give(read: () => number[], callback: TransformCallback): void {
    try {
      const doubled = read().map((number) => number * 2);
      if (this.readableObjectMode) for (const number of doubled) this.push(number);
      else this.push(doubled.map((number) => `${number}\n`).join(''));
      callback();
    } catch (error) {
      callback(error as Error);
    }
  }
}

/** Takes numbers and saves them, at most a hundred at a time. */
export class Collector extends Writable {
  readonly #numbers: NumberReader;
  readonly #save: Save;
  #batch: number[] = [];

  constructor(save: Save, options: StreamOptions = {}) {
    super(options);
    this.#save = save;
    this.#numbers = new NumberReader(this.writableObjectMode);
  }

  override _write(chunk: unknown, _encoding: BufferEncoding, callback: Callback): void {
    // Call back only when the saves have ended: until then `write` tells its caller to wait.
    this.#collect(() => this.#numbers.read(chunk), batchSize).then(() => callback(), callback);
  }

  override _final(callback: Callback): void {
    this.#collect(() => this.#numbers.end(), 1).then(() => callback(), callback);
  }

  /** Saves batches while there are at least `least` numbers. */
  async #collect(read: () => number[], least: number): Promise<void> {
    for (const number of read()) this.#batch.push(number);
    while (this.#batch.length >= least && !this.destroyed) {
      await this.#save(this.#batch.splice(0, batchSize));
    }
  }
}

/** Reads numbers from chunks, wherever their lines are cut. */
class NumberReader {
  readonly #objectMode: boolean;
  /** The line that has not ended yet. Digits are ASCII, so no character can be cut. */
  #rest = '';

  constructor(objectMode: boolean) {
    this.#objectMode = objectMode;
  }

  read(chunk: unknown): number[] {
    if (this.#objectMode) return [wholeNumber(chunk)];
    const lines = (this.#rest + String(chunk)).split('\n');
    this.#rest = lines.pop()!;
    return lines.map(parseLine);
  }

  /** The number of a last line without a newline. */
  end(): number[] {
    return this.#rest === '' ? [] : [parseLine(this.#rest)];
  }
}

function parseLine(line: string): number {
  if (!/^-?\d+$/.test(line)) throw new TypeError(`The line "${line}" is no whole number.`);
  return Number(line);
}

function wholeNumber(chunk: unknown): number {
  if (!Number.isInteger(chunk)) throw new TypeError(`The chunk ${String(chunk)} is no whole number.`);
  return chunk as number;
}

NumberGenerator satisfies new (...args: ConstructorParameters<typeof Starter.NumberGenerator>) => Readable;
Doubler satisfies new (...args: ConstructorParameters<typeof Starter.Doubler>) => Transform;
Collector satisfies new (...args: ConstructorParameters<typeof Starter.Collector>) => Writable;
