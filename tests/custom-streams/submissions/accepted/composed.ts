import { Duplex, Readable, type Transform, Writable } from 'node:stream';

interface StreamOptions {
  objectMode?: boolean;
  highWaterMark?: number;
}
type Save = (numbers: readonly number[]) => Promise<void>;

/** Async generators do the work. Two of the constructors only return a stream that wraps one. */
export class NumberGenerator {
  constructor(source: Iterable<number>, options: StreamOptions = {}) {
    const format = (number: number) => (options.objectMode ? number : `${number}\n`);
    const pieces = function* () {
      for (const number of source) yield format(number);
    };
    return Readable.from(pieces(), { objectMode: false, ...options }) as unknown as NumberGenerator;
  }
}

export class Doubler {
  constructor({ objectMode = false }: StreamOptions = {}) {
    return Duplex.from(async function* (chunks: AsyncIterable<unknown>) {
      for await (const number of numbersOf(chunks, objectMode)) yield objectMode ? number * 2 : `${number * 2}\n`;
    }) as unknown as Doubler & Transform;
  }
}

export class Collector extends Writable {
  readonly #queue: { chunk: unknown; done(error?: Error): void }[] = [];
  #wake: () => void = () => {};
  #isEnded = false;
  readonly #work: Promise<void>;

  constructor(save: Save, options: StreamOptions = {}) {
    super(options);
    this.#work = this.#run(save, options.objectMode ?? false);
    this.#work.catch((error: Error) => this.destroy(error));
  }

  override _write(chunk: unknown, _encoding: string, done: (error?: Error) => void) {
    this.#queue.push({ chunk, done });
    this.#wake();
  }

  override _final(callback: (error?: Error) => void) {
    this.#isEnded = true;
    this.#wake();
    this.#work.then(() => callback(), callback);
  }

  async #run(save: Save, objectMode: boolean) {
    let batch: number[] = [];
    for await (const number of numbersOf(this.#chunks(), objectMode)) {
      batch.push(number);
      if (this.destroyed) return;
      if (batch.length < 50) continue;
      await save(batch);
      batch = [];
    }
    if (batch.length > 0 && !this.destroyed) await save(batch);
  }

  /** Calls back for a chunk, and takes the next one, only after all numbers of that chunk have been handled. */
  async *#chunks() {
    for (;;) {
      const next = this.#queue.shift();
      if (next) {
        yield next.chunk;
        next.done();
      } else if (this.#isEnded) {
        return;
      } else {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await promise;
      }
    }
  }
}

async function* numbersOf(chunks: AsyncIterable<unknown>, objectMode: boolean): AsyncGenerator<number> {
  let rest = '';
  for await (const chunk of chunks) {
    if (objectMode) {
      if (!Number.isSafeInteger(chunk)) throw new TypeError(`not a whole number: ${String(chunk)}`);
      yield chunk as number;
      continue;
    }
    rest += Buffer.from(chunk as Uint8Array).toString('latin1');
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      yield parse(rest.slice(0, end));
      rest = rest.slice(end + 1);
    }
  }
  if (rest) yield parse(rest);
}

function parse(line: string): number {
  const number = Number(line);
  if (line === String(number) && Number.isInteger(number)) return number;
  throw new TypeError(`not a whole number: ${line}`);
}
