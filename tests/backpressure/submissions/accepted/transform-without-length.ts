import { type Hash, createHash } from 'node:crypto';
import { createReadStream, promises, type Stats } from 'node:fs';
import { createServer } from 'node:http';
import { PassThrough, Transform, compose, finished, pipeline } from 'node:stream';

/** Counts and hashes the bytes that pass through. The file is sent chunked, without a length. */
class Tally extends Transform {
  bytes = 0;
  sha256 = '';
  readonly hash: Hash = createHash('sha256');

  override _transform(chunk: Buffer, _encoding: string, done: () => void): void {
    this.hash.update(chunk);
    this.bytes += chunk.length;
    // Take the next chunk in a later turn.
    setImmediate(done);
  }

  override _flush(done: () => void): void {
    this.sha256 = this.hash.digest('hex');
    done();
  }
}

export function createFileServer(file: string) {
  const waiting = new Set<(summary: Tally | NodeJS.ErrnoException) => void>();

  const summarise = (tell: (summary: Tally | NodeJS.ErrnoException) => void) => {
    waiting.add(tell);
    if (waiting.size === 1) void make();
  };
  const version = () =>
    promises.stat(file).then(
      ({ ino, size, mtimeMs }) => `${ino} ${size} ${mtimeMs}`,
      (error: NodeJS.ErrnoException) => error,
    );

  /** Starts over when the file has changed in the meantime, because someone may have asked since then. */
  const make = async () => {
    const before = await version();
    const tally = new Tally();
    tally.resume();
    pipeline(createReadStream(file, { highWaterMark: 512 << 10 }), tally, (error) => {
      void version().then((after) => {
        if (typeof after === 'string' && after !== before) return void make();
        const all = [...waiting];
        waiting.clear();
        for (const one of all) one(error ?? tally);
        return undefined;
      });
    });
  };

  return createServer({ keepAliveTimeout: 1000, noDelay: true }, (req, res) => {
    const refuse = (error: NodeJS.ErrnoException) => {
      if (res.headersSent) res.destroy(error);
      else res.writeHead(error.code === 'ENOENT' ? 404 : 500, { connection: 'close' }).end();
    };
    const send = ({ size }: Stats) => {
      const wish = req.headers.range?.replace('bytes=', '').split('-');
      const options = { highWaterMark: 512 << 10, start: 0, end: Infinity };
      if (wish) {
        const [first, last] = wish;
        options.start = first ? Number(first) : Math.max(0, size - Number(last));
        options.end = first && last ? Math.min(Number(last), size - 1) : size - 1;
        if (options.start >= size) return res.writeHead(416, { 'content-range': `bytes */${size}` }).end();
      }
      if (req.method === 'HEAD') return res.writeHead(200, { 'content-length': size }).end();
      const source = compose(createReadStream(file, options), new PassThrough());
      finished(res, () => source.destroy());
      if (wish) res.writeHead(206, { 'content-range': `bytes ${options.start}-${options.end}/${size}` });
      return source.on('error', refuse).pipe(res);
    };

    if (req.url === '/ping') res.end('pong');
    else if (req.url === '/file') promises.stat(file).then(send).catch(refuse);
    else if (req.url === '/summary') {
      summarise((made) => {
        if (made instanceof Error) return refuse(made);
        return res.end(JSON.stringify({ sha256: made.sha256, bytes: made.bytes }));
      });
    } else res.writeHead(404).end();
  });
}
