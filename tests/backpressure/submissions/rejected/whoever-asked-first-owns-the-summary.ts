/*
breaks: [11]
why: The summary is aborted when the reader who started it leaves, although other readers still wait for it.
ask: Five readers wait for the same summary, and the first one leaves. What do the others get?
*/
import { createHash } from 'node:crypto';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import { pipeline } from 'node:stream/promises';

interface Summary {
  bytes: number;
  sha256: string;
}
interface Job {
  key: string;
  abort: AbortController;
  result: Promise<Summary>;
}
type Part = { start: number; end: number } | 'all' | 'none';

const isGone = (res: ServerResponse) => res.destroyed || res.socket?.destroyed === true;

function fail(res: ServerResponse, err: unknown): void {
  if (isGone(res)) return;
  if (res.headersSent) {
    res.destroy();
    return;
  }
  const code = (err as NodeJS.ErrnoException)?.code;
  res.writeHead(code === 'ENOENT' || code === 'ENOTDIR' ? 404 : 500);
  res.end();
}

function partOf(header: string | undefined, size: number): Part {
  const m = /^\s*bytes=(\d*)-(\d*)\s*$/i.exec(header ?? '');
  if (!m || (m[1] === '' && m[2] === '')) return 'all';
  if (m[1] === '') {
    const count = Math.min(Number(m[2]), size);
    return count === 0 ? 'none' : { start: size - count, end: size - 1 };
  }
  const start = Number(m[1]);
  const last = m[2] === '' ? Infinity : Number(m[2]);
  if (last < start) return 'all';
  return start >= size ? 'none' : { start, end: Math.min(last, size - 1) };
}

/** Serves one file, and a summary of it. */
export function createFileServer(file: string): Server {
  let job: Job | undefined;

  async function work(signal: AbortSignal): Promise<Summary> {
    const hash = createHash('sha256');
    let bytes = 0;
    const handle = await open(file);
    try {
      signal.throwIfAborted();
      await pipeline(
        handle.createReadStream({ highWaterMark: 256 * 1024 }),
        async (source: AsyncIterable<Buffer>) => {
          for await (const chunk of source) {
            bytes += chunk.length;
            hash.update(chunk);
          }
        },
        { signal },
      );
    } finally {
      await handle.close().catch(() => {});
    }
    return { bytes, sha256: hash.digest('hex') };
  }

  function begin(key: string): Job {
    const abort = new AbortController();
    const made: Job = { key, abort, result: work(abort.signal) };
    const forget = () => {
      if (job === made) job = undefined;
    };
    made.result.then(forget, forget);
    return made;
  }

  async function summary(res: ServerResponse): Promise<void> {
    const s = await stat(file, { bigint: true });
    if (isGone(res)) return;
    const key = [s.dev, s.ino, s.size, s.mtimeNs].join(':');
    const first = job?.key !== key;
    if (!job || first) job = begin(key);
    const mine = job;
    // The request that started the work also ends it.
    if (first) {
      res.once('close', () => {
        if (job === mine) job = undefined;
        mine.abort.abort();
      });
    }
    const body = JSON.stringify(await mine.result);
    if (isGone(res)) return;
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    res.end(body);
  }

  async function send(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const handle: FileHandle = await open(file);
    try {
      if (isGone(res)) return;
      const { size } = await handle.stat();
      if (isGone(res)) return;
      const part = partOf(req.headers.range, size);
      if (part === 'none') {
        res.writeHead(416, { 'content-range': `bytes */${size}`, 'content-length': 0 });
        res.end();
        return;
      }
      const { start, end } = part === 'all' ? { start: 0, end: size - 1 } : part;
      const length = end - start + 1;
      res.writeHead(part === 'all' ? 200 : 206, {
        'content-type': 'application/octet-stream',
        'accept-ranges': 'bytes',
        'content-length': length,
        ...(part === 'all' ? {} : { 'content-range': `bytes ${start}-${end}/${size}` }),
      });
      if (length === 0) {
        res.end();
        return;
      }
      await pipeline(
        handle.createReadStream({ start, end }),
        async function* (source: AsyncIterable<Buffer>) {
          let sent = 0;
          for await (const chunk of source) {
            sent += chunk.length;
            yield chunk;
          }
          if (sent < length) throw new Error('the file ended early');
        },
        res,
      );
    } finally {
      await handle.close().catch(() => {});
    }
  }

  async function head(res: ServerResponse): Promise<void> {
    const { size } = await stat(file);
    if (isGone(res)) return;
    res.writeHead(200, { 'content-length': size, 'accept-ranges': 'bytes' });
    res.end();
  }

  return createServer((req, res) => {
    res.on('error', () => {});
    const failed = (err: unknown) => fail(res, err);
    if (req.url === '/ping') res.end('pong');
    else if (req.url === '/summary') summary(res).catch(failed);
    else if (req.url === '/file' && req.method === 'HEAD') head(res).catch(failed);
    else if (req.url === '/file') send(req, res).catch(failed);
    else {
      res.writeHead(404);
      res.end();
    }
  });
}
