import { Duplex, Readable, Writable } from 'node:stream';

type Done = (error?: Error | null) => void;

/** A Writable collects the chunks and settles the promise when it finishes or fails. */
function gather<T>(source: Readable, maxBytes: number, finish: (chunks: Buffer[]) => T): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const chunks: Buffer[] = [];
  let size = 0;
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      chunks.push(chunk);
      done(size > maxBytes ? new RangeError(`limit of ${maxBytes} bytes`) : null);
    },
  });
  sink.once('finish', () => resolve(finish(chunks)));
  sink.once('error', (error) => {
    source.destroy();
    reject(error);
  });
  source.once('error', reject);
  source.once('close', () => {
    if (!source.readableEnded) reject(new Error('the source was closed before its end'));
  });
  source.pipe(sink);
  return promise;
}

export const toBuffer = (source: Readable, { maxBytes = Infinity } = {}): Promise<Buffer> =>
  gather(source, maxBytes, (chunks) => Buffer.concat(chunks));

export const toText = (source: Readable, { maxBytes = Infinity } = {}): Promise<string> =>
  gather(source, maxBytes, (chunks) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(chunks)));

/** Pushes what it has when the reader asks, and accepts more input only after everything is pushed. */
abstract class Step extends Duplex {
  #taken: Done | undefined;
  #isWanted = false;
  readonly #ready: unknown[] = [];

  protected abstract accept(chunk: unknown): void;
  protected abstract last(): void;

  protected ready(value: unknown): void {
    this.#ready.push(value);
    this.#give();
  }

  override _read(): void {
    this.#isWanted = true;
    this.#give();
  }

  override _write(chunk: unknown, _encoding: BufferEncoding, done: Done): void {
    try {
      this.accept(chunk);
    } catch (error) {
      return done(error as Error);
    }
    this.#taken = done;
    this.#give();
  }

  override _final(done: Done): void {
    try {
      this.last();
      this.ready(null);
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  #give(): void {
    while (this.#isWanted && this.#ready.length > 0) this.#isWanted = this.push(this.#ready.shift());
    if (this.#ready.length > 0) return;
    const done = this.#taken;
    this.#taken = undefined;
    done?.();
  }
}

/** Knuth–Morris–Pratt, byte by byte: tracks how much of the delimiter the last bytes match. */
class Splitter extends Step {
  readonly #mark: Buffer;
  readonly #fallback: number[] = [0];
  readonly #limit: number;
  #matched = 0;
  #line = Buffer.allocUnsafe(64);
  #length = 0;

  constructor(delimiter: string, limit: number) {
    super({ readableObjectMode: true });
    this.#mark = Buffer.from(delimiter);
    this.#limit = limit;
    for (let at = 1, length = 0; at < this.#mark.length; at++) {
      while (length > 0 && this.#mark[at] !== this.#mark[length]) length = this.#fallback[length - 1]!;
      if (this.#mark[at] === this.#mark[length]) length++;
      this.#fallback[at] = length;
    }
  }

  protected override accept(chunk: Buffer): void {
    for (const byte of chunk) {
      this.#append(byte);
      while (this.#matched > 0 && byte !== this.#mark[this.#matched])
        this.#matched = this.#fallback[this.#matched - 1]!;
      if (byte === this.#mark[this.#matched]) this.#matched++;
      if (this.#matched === this.#mark.length) this.#end(this.#matched);
      else if (this.#length - this.#matched > this.#limit) this.#refuse();
    }
  }

  protected override last(): void {
    if (this.#length > this.#limit) this.#refuse();
    if (this.#length > 0) this.#end(0);
  }

  #append(byte: number): void {
    if (this.#length === this.#line.length) this.#line = Buffer.concat([this.#line, this.#line]);
    this.#line[this.#length++] = byte;
  }

  #end(delimiter: number): void {
    this.ready(this.#line.toString('utf8', 0, this.#length - delimiter));
    this.#length = 0;
    this.#matched = 0;
  }

  #refuse(): never {
    throw new RangeError(`a line is longer than ${this.#limit} bytes`);
  }
}

class Batcher extends Step {
  #items: unknown[] = [];
  #timer: ReturnType<typeof setTimeout> | null = null;
  readonly #size: number;
  readonly #waitMs: number | undefined;

  constructor(size: number, waitMs: number | undefined) {
    super({ objectMode: true });
    this.#size = size;
    this.#waitMs = waitMs;
  }

  protected override accept(item: unknown): void {
    this.#items.push(item);
    if (this.#items.length >= this.#size) this.last();
    else if (this.#waitMs !== undefined) this.#timer ??= setTimeout(() => this.last(), this.#waitMs);
  }

  protected override last(): void {
    this.#stop();
    if (this.#items.length > 0) this.ready(this.#items.splice(0));
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#stop();
    done(error);
  }

  #stop(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

export const split = (delimiter = '\n', { maxLineBytes = Infinity } = {}): Duplex =>
  new Splitter(delimiter, maxLineBytes);

export const batch = (size: number, { maxWaitMs }: { maxWaitMs?: number } = {}): Duplex => new Batcher(size, maxWaitMs);
