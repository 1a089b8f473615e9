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

  constructor(source: Iterable<number>, options: StreamOptions = {}) {
    super(options);
    this.#numbers = source[Symbol.iterator]();
  }

  override _read() {
    setImmediate(() => {
      if (this.destroyed) return;
      try {
        const { done, value } = this.#numbers.next();
        if (done) this.push(null);
        else this.push(this.readableObjectMode ? value : `${value}\n`);
      } catch (error) {
        this.destroy(error as Error);
      }
    });
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
