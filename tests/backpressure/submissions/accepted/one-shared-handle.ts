import { createHash } from 'node:crypto';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import { Readable, pipeline } from 'node:stream';

interface Opened {
  /** Which file it is, whatever has its name by now. */
  readonly identity: string;
  readonly handle: Promise<FileHandle>;
  readers: number;
}

/** Opens each file once. All requests read from its handle by position, 1 MB at a time. It stays open until another file has its name. */
export function createFileServer(file: string): Server {
  const step = 1024 * 1024;
  let shared: Opened | undefined;
  const summaries = new Map<string, Promise<string>>();

  function take(identity: string): Opened {
    if (shared?.identity !== identity) {
      const old = shared;
      const opened: Opened = { identity, handle: open(file), readers: 0 };
      shared = opened;
      opened.handle.catch(() => {
        if (shared === opened) shared = undefined;
      });
      if (old?.readers === 0) closeLater(old);
    }
    shared.readers++;
    return shared;
  }

  function giveBack(opened: Opened): void {
    if (--opened.readers === 0 && opened !== shared) closeLater(opened);
  }

  function closeLater({ handle }: Opened): void {
    handle.then((source) => source.close()).catch(() => undefined);
  }

  async function* bytes(identity: string, from: number, to: number): AsyncGenerator<Buffer> {
    const opened = take(identity);
    try {
      const source = await opened.handle;
      for (let position = from; position < to;) {
        const { bytesRead, buffer } = await source
          .readv([Buffer.allocUnsafe(Math.min(step, to - position))], position)
          .then(({ bytesRead: count, buffers }) => ({ bytesRead: count, buffer: buffers[0] as Buffer }));
        if (bytesRead === 0) throw new Error(`The file ends at ${position} instead of ${to}.`);
        yield buffer.subarray(0, bytesRead);
        position += bytesRead;
      }
    } finally {
      giveBack(opened);
    }
  }

  async function summarise(identity: string, size: number): Promise<string> {
    const hash = createHash('sha256');
    for await (const chunk of bytes(identity, 0, size)) hash.update(chunk);
    return JSON.stringify({ bytes: size, sha256: hash.digest('hex') });
  }

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<unknown> {
    try {
      if (req.url === '/ping') return res.end('pong');
      const { size, mtimeMs, dev, ino } = await stat(file);
      const identity = `${dev} ${ino}`;
      if (req.url === '/summary') {
        // A summary is valid while the file has this size and modification time.
        const key = `${identity} ${size} ${mtimeMs}`;
        if (!summaries.has(key)) {
          summaries.clear();
          summaries.set(key, summarise(identity, size));
          summaries.get(key)!.catch(() => summaries.delete(key));
        }
        return res.setHeader('content-type', 'application/json').end(await summaries.get(key));
      }
      const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(req.headers.range ?? '') ?? [];
      const from = first ? Number(first) : last ? Math.max(0, size - Number(last)) : 0;
      const to = first && last ? Math.min(size, Number(last) + 1) : size;
      if ((first || last) && from >= size) return res.writeHead(416, { 'content-range': `bytes */${size}` }).end();
      if (first || last)
        res.writeHead(206, { 'content-range': `bytes ${from}-${to - 1}/${size}`, 'content-length': to - from });
      else res.setHeader('Content-Length', to - from);
      if (req.method === 'HEAD') return res.end();
      return pipeline(
        Readable.from(bytes(identity, from, to), { objectMode: false, highWaterMark: step }),
        res,
        () => undefined,
      );
    } catch (error) {
      return res.writeHead((error as NodeJS.ErrnoException).code === 'ENOENT' ? 404 : 500).end();
    }
  }

  return createServer((req, res) => void answer(req, res));
}
