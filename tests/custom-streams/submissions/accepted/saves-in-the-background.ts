import { Readable, Transform, Writable } from 'node:stream';
import { callbackify } from 'node:util';

interface StreamOptions {
  objectMode?: boolean;
  highWaterMark?: number;
}
type Save = (numbers: readonly number[]) => Promise<void>;
type Done = (error?: Error | null) => void;

const newline = 0x0a;

/** Cuts buffers at newlines and decodes only whole lines. */
function lineParser(objectMode: boolean) {
  let pieces: Buffer[] = [];
  const toNumber = (text: string) => {
    if (!/^(0|-?[1-9][0-9]*)$/.test(text)) throw new TypeError(`no whole number here: '${text}'`);
    return Number(text);
  };
  const close = () => {
    const text = Buffer.concat(pieces).toString('ascii');
    pieces = [];
    return toNumber(text);
  };
  return {
    take(chunk: unknown): number[] {
      if (objectMode) {
        if (typeof chunk !== 'number' || !Number.isInteger(chunk))
          throw new TypeError(`no whole number: ${String(chunk)}`);
        return [chunk];
      }
      const found: number[] = [];
      let rest = chunk as Buffer;
      for (let end = rest.indexOf(newline); end !== -1; end = rest.indexOf(newline)) {
        pieces.push(rest.subarray(0, end));
        found.push(close());
        rest = rest.subarray(end + 1);
      }
      if (rest.length > 0) pieces.push(rest);
      return found;
    },
    end: (): number[] => (pieces.length > 0 ? [close()] : []),
  };
}

/** Pulls in an async loop. When there is no room, the loop waits for the next call of _read. */
export class NumberGenerator extends Readable {
  #isWanted = Promise.withResolvers<void>();

  constructor(source: Iterable<number>, options: StreamOptions = {}) {
    super({ highWaterMark: 4096, ...options });
    this.#run(source).catch((error: Error) => this.destroy(error));
  }

  override _read() {
    this.#isWanted.resolve();
  }

  override _destroy(error: Error | null, done: Done) {
    this.#isWanted.resolve();
    done(error);
  }

  async #run(source: Iterable<number>) {
    await this.#isWanted.promise;
    if (this.destroyed) return;
    for (const number of source) {
      this.#isWanted = Promise.withResolvers();
      // push() may call _read before it returns.
      if (!this.push(this.readableObjectMode ? number : `${number}\n`)) await this.#isWanted.promise;
      if (this.destroyed) return;
    }
    this.push(null);
  }
}

export class Doubler extends Transform {
  readonly #parser;

  constructor(options: StreamOptions = {}) {
    super(options);
    this.#parser = lineParser(options.objectMode === true);
  }

  override _transform(chunk: unknown, _encoding: string, done: Done) {
    callbackify(async () => this.#give(this.#parser.take(chunk)))(done);
  }

  override _flush(done: Done) {
    callbackify(async () => this.#give(this.#parser.end()))(done);
  }

  #give(numbers: readonly number[]) {
    for (const number of numbers) this.push(this.readableObjectMode ? number + number : `${number + number}\n`);
  }
}

/** Collects one batch while a save is running, and no more than that. */
export class Collector extends Writable {
  readonly #parser;
  readonly #save: Save;
  readonly #batch: number[] = [];
  #underWay: Promise<void> | undefined;

  constructor(save: Save, options: StreamOptions = {}) {
    super(options);
    this.#save = save;
    this.#parser = lineParser(options.objectMode === true);
  }

  override _write(chunk: unknown, _encoding: string, done: Done) {
    callbackify(async () => {
      for (const number of this.#parser.take(chunk)) {
        this.#batch.push(number);
        if (this.#batch.length === 100) await this.#begin();
      }
    })(done);
  }

  override _final(done: Done) {
    callbackify(async () => {
      this.#batch.push(...this.#parser.end());
      await this.#begin();
      await this.#underWay;
    })(done);
  }

  /** Resolves when a save of everything collected so far has begun. */
  async #begin() {
    await this.#underWay;
    if (this.destroyed || this.#batch.length === 0) return;
    this.#underWay = this.#save(this.#batch.splice(0));
    this.#underWay.catch((error: Error) => this.destroy(error));
  }

  override _destroy(error: Error | null, done: Done) {
    // Closes only when the running save has ended.
    const close = () => done(error);
    (this.#underWay ?? Promise.resolve()).then(close, close);
  }
}
