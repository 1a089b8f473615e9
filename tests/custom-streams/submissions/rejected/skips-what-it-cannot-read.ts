/*
breaks: [8, 11]
why: A bad line is passed over in silence, and the sum at the end of the month is wrong.
ask: Who finds out, and when?
*/
import { Readable, Transform, type TransformCallback, Writable } from 'node:stream';

interface StreamOptions {
  objectMode?: boolean;
  highWaterMark?: number;
}
type Save = (numbers: readonly number[]) => Promise<void>;

export class NumberGenerator extends Readable {
  readonly #numbers: Iterator<number>;

  constructor(source: Iterable<number>, options: StreamOptions = {}) {
    super(options);
    this.#numbers = source[Symbol.iterator]();
  }

  override _read() {
    const { done, value } = this.#numbers.next();
    if (done) this.push(null);
    else this.push(this.readableObjectMode ? value : `${value}\n`);
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
        if (Number.isInteger(chunk)) this.push((chunk as number) * 2);
      } else {
        const lines = (this.#rest + String(chunk)).split('\n');
        this.#rest = lines.pop()!;
        for (const line of lines.filter((one) => /^-?\d+$/.test(one))) this.push(`${Number(line) * 2}\n`);
      }
      callback();
    } catch (error) {
      callback(error as Error);
    }
  }

  override _flush(callback: TransformCallback) {
    try {
      callback(null, /^-?\d+$/.test(this.#rest) ? `${Number(this.#rest) * 2}\n` : undefined);
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
      if (Number.isInteger(chunk)) this.#batch.push(chunk as number);
    } else {
      const lines = (this.#rest + String(chunk)).split('\n');
      this.#rest = lines.pop()!;
      this.#batch.push(...lines.filter((line) => /^-?\d+$/.test(line)).map(Number));
    }
    while (this.#batch.length >= 100 && !this.destroyed) await this.#save(this.#batch.splice(0, 100));
  }

  async #finish() {
    if (/^-?\d+$/.test(this.#rest)) this.#batch.push(Number(this.#rest));
    while (this.#batch.length > 0 && !this.destroyed) await this.#save(this.#batch.splice(0, 100));
  }
}
