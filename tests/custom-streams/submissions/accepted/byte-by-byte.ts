import { Readable, Transform, Writable } from 'node:stream';

type StreamOptions = { objectMode?: boolean; highWaterMark?: number };

/** A state machine that parses digits byte by byte and never builds an array of lines. */
class Digits {
  #value = 0;
  #sign = 1;
  #seen = '';

  *take(chunk: Uint8Array): Generator<number> {
    for (const byte of chunk) {
      if (byte === 0x0a) {
        yield this.#number();
        continue;
      }
      this.#seen += String.fromCharCode(byte);
      if (byte === 0x2d && this.#seen === '-') this.#sign = -1;
      else if (byte >= 0x30 && byte <= 0x39) this.#value = this.#value * 10 + (byte - 0x30);
      else this.#value = Number.NaN;
    }
  }

  *rest(): Generator<number> {
    if (this.#seen) yield this.#number();
  }

  #number(): number {
    const line = this.#seen;
    const number = line === '' || line === '-' ? Number.NaN : this.#value * this.#sign;
    [this.#value, this.#sign, this.#seen] = [0, 1, ''];
    if (Number.isNaN(number)) throw new TypeError(`Line "${line}": digits were expected.`);
    return number === 0 ? 0 : number;
  }
}

function* whole(chunk: unknown): Generator<number> {
  if (typeof chunk !== 'number' || chunk % 1 !== 0) throw new TypeError(`Chunk ${String(chunk)}: expected an integer.`);
  yield chunk;
}

/** Fills a chunk of the size that Node asks for, instead of pushing one number at a time. */
export class NumberGenerator extends Readable {
  constructor(source: Iterable<number>, options: StreamOptions = {}) {
    let iterator: Iterator<number> | null = source[Symbol.iterator]();
    super({
      ...options,
      read(size) {
        if (options.objectMode) {
          for (let left = size; left > 0; left--) {
            const { value, done } = iterator!.next();
            if (done) iterator = null;
            this.push(done ? null : value);
            if (done) return;
          }
          return;
        }
        let text = '';
        while (text.length < size) {
          const next = iterator!.next();
          if (next.done) {
            iterator = null;
            break;
          }
          text += `${next.value}\n`;
        }
        if (text) this.push(Buffer.from(text));
        if (iterator === null) this.push(null);
      },
      destroy(error, callback) {
        iterator?.return?.();
        callback(error);
      },
    });
  }
}

export class Doubler extends Transform {
  constructor(options: StreamOptions = {}) {
    const digits = new Digits();
    super({
      ...options,
      transform(chunk, _encoding, callback) {
        try {
          const numbers = options.objectMode ? whole(chunk) : digits.take(chunk);
          for (const number of numbers) this.push(options.objectMode ? number * 2 : `${number * 2}\n`);
          callback();
        } catch (error) {
          callback(error as Error);
        }
      },
      flush(callback) {
        try {
          for (const number of digits.rest()) this.push(`${number * 2}\n`);
          callback();
        } catch (error) {
          callback(error as Error);
        }
      },
    });
  }
}

/** Saves each number on its own. */
export class Collector extends Writable {
  constructor(save: (numbers: readonly number[]) => Promise<void>, options: StreamOptions = {}) {
    const digits = new Digits();
    const saveAll = async (stream: Writable, numbers: Iterable<number>) => {
      for (const number of numbers) {
        if (stream.destroyed) return;
        await save([number]);
      }
    };
    super({
      ...options,
      write(chunk, _encoding, callback) {
        saveAll(this, options.objectMode ? whole(chunk) : digits.take(chunk)).then(() => callback(), callback);
      },
      final(callback) {
        saveAll(this, digits.rest()).then(() => callback(), callback);
      },
    });
  }
}
