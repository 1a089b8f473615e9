import { createHash } from 'node:crypto';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import { Writable } from 'node:stream';
import { ReadableStream } from 'node:stream/web';

const PIECE = 256 * 1024;

/** A handle shared by everyone who reads this version of the file. */
class Shared {
  users = 0;
  key: string;
  opening: Promise<FileHandle>;
  summary: Promise<string> | undefined;
  summaryReaders = new Set<ServerResponse>();
  constructor(key: string, file: string) {
    this.key = key;
    this.opening = open(file);
    this.opening.catch(() => {});
  }
}

const left = (res: ServerResponse) => res.closed || res.destroyed;

/**
 * Uses web streams. All readers of one version share a handle, and the last one closes it. A read error ends all
 * their responses, and the next reader opens the file again.
 */
export function createFileServer(file: string): Server {
  let current: Shared | undefined;
  const drop = (shared: Shared) => {
    if (current === shared) current = undefined;
  };

  async function use<T>(task: (shared: Shared, handle: FileHandle) => Promise<T>): Promise<T> {
    const { dev, ino, size, mtimeNs } = await stat(file, { bigint: true });
    const key = `${dev} ${ino} ${size} ${mtimeNs}`;
    if (current?.key !== key) current = new Shared(key, file);
    const shared = current;
    shared.users += 1;
    try {
      return await task(shared, await shared.opening);
    } catch (err) {
      drop(shared);
      throw err;
    } finally {
      shared.users -= 1;
      if (shared.users === 0) {
        drop(shared);
        shared.opening.then((handle) => handle.close()).catch(() => {});
      }
    }
  }

  async function* pieces(handle: FileHandle, from: number, to: number): AsyncGenerator<Buffer> {
    while (from < to) {
      const { bytesRead, buffer } = await handle.read(
        Buffer.allocUnsafe(Math.min(PIECE, to - from)),
        0,
        undefined,
        from,
      );
      if (bytesRead === 0) throw new Error('the file ended early');
      from += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  async function digest(shared: Shared, handle: FileHandle): Promise<string> {
    const { size } = await handle.stat();
    const hash = createHash('sha256');
    for await (const piece of pieces(handle, 0, size)) {
      if (shared.summaryReaders.size === 0) {
        shared.summary = undefined; // in the same turn, so that nobody joins an abandoned summary
        throw new Error('nobody waits any more');
      }
      hash.update(piece);
    }
    return JSON.stringify({ bytes: size, sha256: hash.digest('hex') });
  }

  async function summary(res: ServerResponse): Promise<void> {
    await use(async (shared, handle) => {
      if (left(res)) return;
      shared.summaryReaders.add(res);
      const gone = new Promise<undefined>((resolve) => {
        res.once('close', () => {
          shared.summaryReaders.delete(res);
          resolve(undefined);
        });
      });
      if (!shared.summary) {
        const made = digest(shared, handle);
        shared.summary = made;
        const forget = () => {
          if (shared.summary === made) shared.summary = undefined;
        };
        made.catch(forget);
      }
      const text = await Promise.race([shared.summary, gone]);
      if (text === undefined || left(res)) {
        // The last reader does not close the file during a read. The next request starts again.
        if (shared.summaryReaders.size === 0) drop(shared);
        return;
      }
      res.writeHead(200, { 'content-type': 'application/json' });
      res.end(text);
    });
  }

  async function send(req: IncomingMessage, res: ServerResponse): Promise<void> {
    await use(async (_shared, handle) => {
      if (left(res)) return;
      const { size } = await handle.stat();
      if (left(res)) return;
      let from = 0;
      let to = size;
      const range = /^bytes=(\d*)-(\d*)$/.exec(req.headers.range ?? '');
      if (range && range[0] !== 'bytes=-') {
        from = range[1] ? Number(range[1]) : Math.max(0, size - Number(range[2]));
        if (range[1] && range[2]) to = Math.min(size, Number(range[2]) + 1);
        if (from >= size || from >= to) {
          res.writeHead(416, { 'content-range': `bytes */${size}` });
          res.end();
          return;
        }
        res.writeHead(206, { 'content-range': `bytes ${from}-${to - 1}/${size}`, 'content-length': to - from });
      } else {
        res.writeHead(200, { 'content-type': 'application/octet-stream' });
      }
      const source = pieces(handle, from, to);
      const body = new ReadableStream<Buffer>(
        {
          async pull(controller) {
            const { done, value } = await source.next();
            if (done) controller.close();
            else controller.enqueue(value);
          },
        },
        { highWaterMark: 0 },
      );
      const departure = new AbortController();
      res.once('close', () => departure.abort());
      await body.pipeTo(Writable.toWeb(res), { signal: departure.signal });
    });
  }

  async function head(res: ServerResponse): Promise<void> {
    const { size } = await stat(file);
    res.writeHead(200, { 'content-length': size });
    res.end();
  }

  return createServer((req, res) => {
    res.on('error', () => {});
    const answer = async () => {
      if (req.url === '/ping') res.end('pong');
      else if (req.url === '/summary') await summary(res);
      else if (req.url === '/file' && req.method === 'HEAD') await head(res);
      else if (req.url === '/file') await send(req, res);
      else res.writeHead(404).end();
    };
    answer().catch((err: NodeJS.ErrnoException) => {
      if (left(res)) return;
      if (res.headersSent) res.destroy();
      else res.writeHead(err?.code === 'ENOENT' || err?.code === 'ENOTDIR' ? 404 : 500).end();
    });
  });
}
