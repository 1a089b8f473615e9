import { Readable, Transform, type TransformCallback, Writable } from 'node:stream';

export interface StreamOptions {
  objectMode?: boolean;
  highWaterMark?: number;
}

export type Save = (numbers: readonly number[]) => Promise<void>;

const batchSize = 100;

/** Gives the numbers of a source, one per line. */
export class NumberGenerator extends Readable {
  readonly #numbers: Iterator<number>;

  constructor(source: Iterable<number>, options: StreamOptions = {}) {
    super(options);
    this.#numbers = source[Symbol.iterator]();
  }

  override _read(): void {
    for (let next = this.#numbers.next(); !next.done; next = this.#numbers.next()) {
      this.push(`${next.value}\n`);
    }
    this.push(null);
  }
}

/** Takes numbers and gives twice each number. */
export class Doubler extends Transform {
  constructor(options: StreamOptions = {}) {
    super(options);
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    callback(null, `${Number(chunk.toString()) * 2}\n`);
  }
}

/** Takes numbers and saves them, a hundred at a time. */
export class Collector extends Writable {
  readonly #save: Save;
  #batch: number[] = [];

  constructor(save: Save, options: StreamOptions = {}) {
    super(options);
    this.#save = save;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.#batch.push(Number(chunk.toString()));
    if (this.#batch.length === batchSize) {
      void this.#save(this.#batch);
      this.#batch = [];
    }
    callback();
  }
}
