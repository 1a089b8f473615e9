/*
breaks: [5, 6, 11]
why: It takes one number in every turn of the event loop, whether anybody reads or not: slow, but without end.
ask: Who tells your loop that the reader pauses?
*/
import { Readable, Transform, type TransformCallback, Writable } from 'node:stream';

interface StreamOptions {
  objectMode?: boolean;
  highWaterMark?: number;
}
type Save = (numbers: readonly number[]) => Promise<void>;

function wholeNumber(line: unknown): number {
  if (!/^-?\d+$/.test(String(line))) throw new TypeError(`"${String(line)}" is no whole number`);
  return Number(line);
}

function wholeChunk(chunk: unknown): number {
  if (!Number.isInteger(chunk)) throw new TypeError(`${String(chunk)} is no whole number`);
  return chunk as number;
}

export class NumberGenerator extends Readable {
  readonly #numbers: Iterator<number>;
  #isPulling = false;

  constructor(source: Iterable<number>, options: StreamOptions = {}) {
    super(options);
    this.#numbers = source[Symbol.iterator]();
  }

  override _read() {
    if (this.#isPulling) return;
    this.#isPulling = true;
    this.#pull();
  }

  #pull() {
    if (this.destroyed) return;
    try {
      const { done, value } = this.#numbers.next();
      this.push(done ? null : this.readableObjectMode ? value : `${value}\n`);
      if (!done) setImmediate(() => this.#pull());
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void) {
    this.#numbers.return?.();
    callback(error);
  }
}

export class Doubler extends Transform {
  #rest = '';

  constructor(options: StreamOptions = {}) {
    super(options);
  }

  override _transform(chunk: unknown, _encoding: string, callback: TransformCallback) {
    try {
      if (this.writableObjectMode) {
        this.push(wholeChunk(chunk) * 2);
      } else {
        const lines = (this.#rest + String(chunk)).split('\n');
        this.#rest = lines.pop()!;
        for (const line of lines) this.push(`${wholeNumber(line) * 2}\n`);
      }
      callback();
    } catch (error) {
      callback(error as Error);
    }
  }

  override _flush(callback: TransformCallback) {
    try {
      callback(null, this.#rest === '' ? undefined : `${wholeNumber(this.#rest) * 2}\n`);
    } catch (error) {
      callback(error as Error);
    }
  }
}

export class Collector extends Writable {
  readonly #save: Save;
  readonly #batch: number[] = [];
  #rest = '';

  constructor(save: Save, options: StreamOptions = {}) {
    super(options);
    this.#save = save;
  }

  override _write(chunk: unknown, _encoding: string, callback: (error?: Error) => void) {
    this.#take(chunk).then(() => callback(), callback);
  }

  override _final(callback: (error?: Error) => void) {
    this.#finish().then(() => callback(), callback);
  }

  async #take(chunk: unknown) {
    if (this.writableObjectMode) {
      this.#batch.push(wholeChunk(chunk));
    } else {
      const lines = (this.#rest + String(chunk)).split('\n');
      this.#rest = lines.pop()!;
      this.#batch.push(...lines.map(wholeNumber));
    }
    while (this.#batch.length >= 100 && !this.destroyed) await this.#save(this.#batch.splice(0, 100));
  }

  async #finish() {
    if (this.#rest !== '') this.#batch.push(wholeNumber(this.#rest));
    while (this.#batch.length > 0 && !this.destroyed) await this.#save(this.#batch.splice(0, 100));
  }
}
