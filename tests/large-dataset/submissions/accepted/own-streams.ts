import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { PassThrough, Transform, type TransformCallback, Writable } from 'node:stream';
import { pipeline } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { createGunzip } from 'node:zlib';

interface DigestOptions {
  onProgress?: (share: number) => void;
  signal?: AbortSignal;
}

/** Checks the first chunk and, for a gzip, sends all chunks through a gunzip. */
class MaybeGunzip extends Transform {
  #inner: Transform | undefined;

  override _transform(chunk: Buffer, encoding: BufferEncoding, done: TransformCallback): void {
    if (!this.#inner) {
      const isGzip = chunk.length > 1 && chunk.readUInt16LE() === 0x8b1f;
      this.#inner = isGzip ? createGunzip() : new PassThrough();
      this.#inner.on('error', (error) => this.destroy(error));
      this.#inner.on('data', (data) => {
        if (!this.push(data)) this.#inner!.pause();
      });
    }
    if (this.#inner.write(chunk, encoding)) done();
    else this.#inner.once('drain', done);
  }

  override _flush(done: TransformCallback): void {
    if (!this.#inner) return done();
    this.#inner.on('end', done).end();
  }

  override _read(size: number): void {
    this.#inner?.resume();
    super._read(size);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#inner?.destroy();
    done(error);
  }
}

class Tally extends Writable {
  readonly perHour: Record<string, number> = {};
  readonly paths = new Map<string, number>();
  readonly malformed = { count: 0, firstLines: [] as number[] };
  entries = 0;
  bytes = 0;
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';
  #line = 0;

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const text = this.#rest + this.#decoder.write(chunk);
    let from = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', from)) {
      this.#take(text.slice(from, end));
      from = end + 1;
    }
    this.#rest = text.slice(from);
    done();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#rest += this.#decoder.end();
    if (this.#rest) this.#take(this.#rest);
    done();
  }

  #take(line: string): void {
    this.#line++;
    if (line.trim() === '') return;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      value = undefined;
    }
    const { time, path, bytes } = Object(value) as Record<string, unknown>;
    if (
      typeof time !== 'string' ||
      !/^\d{4}(-\d{2}){2}T\d{2}(:\d{2}){2}\.\d{3}Z$/.test(time) ||
      typeof path !== 'string' ||
      !Number.isInteger(bytes) ||
      Number(bytes) < 0
    ) {
      this.malformed.count++;
      if (this.malformed.count <= 10) this.malformed.firstLines.push(this.#line);
      return;
    }
    this.entries++;
    this.bytes += Number(bytes);
    const hour = time.slice(0, 13);
    this.perHour[hour] = (this.perHour[hour] ?? 0) + 1;
    this.paths.set(path, (this.paths.get(path) ?? 0) + 1);
  }
}

export async function digestLog(path: string, { onProgress, signal }: DigestOptions = {}) {
  if (signal?.aborted) throw abortError();
  const { size } = await stat(path);
  const tally = new Tally();
  const source = createReadStream(path);
  let read = 0;
  source.on('data', (chunk) => onProgress?.(Math.min((read += chunk.length) / size, 1)));
  await new Promise<void>((resolve, reject) => {
    const streams = pipeline(source, new MaybeGunzip(), tally, (error) => {
      signal?.removeEventListener('abort', abort);
      if (!error) resolve();
      else reject(signal?.aborted ? abortError() : new Error(`${path}: ${error.message}`, { cause: error }));
    });
    const abort = () => void streams.destroy(abortError());
    signal?.addEventListener('abort', abort);
    // Nobody was listening during the await above.
    if (signal?.aborted) abort();
  });
  if (read === 0) onProgress?.(1);
  const topPaths = [...tally.paths]
    .sort(([a, x], [b, y]) => (x !== y ? y - x : a < b ? -1 : 1))
    .slice(0, 10)
    .map(([name, count]) => ({ path: name, count }));
  const { entries, bytes, perHour, malformed } = tally;
  return { entries, bytes, perHour, topPaths, malformed };
}

function abortError(): Error {
  return new DOMException('The digest was aborted.', 'AbortError');
}
