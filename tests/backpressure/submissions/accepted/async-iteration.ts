import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { open, stat } from 'node:fs/promises';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';

/** Reads the file with for await. An AbortController ends every wait when the reader leaves. */
export function createFileServer(file: string): Server {
  /** The summary that is being computed, and the version of the file that it describes. */
  let underWay: { version: string; summary: Promise<string> } | undefined;

  async function makeSummary(): Promise<string> {
    await using handle = await open(file);
    // A summary may hold the whole file in memory. It is hashed piece by piece, so that other requests run in between.
    const content = await handle.readFile();
    const hash = createHash('sha256');
    for (let offset = 0; offset < content.length; offset += 1 << 20) {
      hash.update(content.subarray(offset, offset + (1 << 20)));
      await turn();
    }
    return JSON.stringify({ bytes: content.length, sha256: hash.digest('hex'), file });
  }

  async function sendFile(req: IncomingMessage, res: ServerResponse, signal: AbortSignal): Promise<void> {
    await using handle = await open(file, 'r');
    const stats = await handle.stat();
    signal.throwIfAborted();
    if (stats.isDirectory()) throw Object.assign(new Error('a folder'), { code: 'ENOENT' });
    const { size } = stats;
    const [, a, b] = req.headers.range?.match(/^bytes=(\d*)-(\d*)$/) ?? [];
    const hasRange = Boolean(a || b);
    const start = a ? Number(a) : b ? Math.max(0, size - Number(b)) : 0;
    const end = a && b ? Math.min(Number(b), size - 1) : size - 1;
    if (hasRange && start >= size) {
      res.writeHead(416, { 'content-range': `bytes */${size}` }).end();
      return;
    }
    res.writeHead(hasRange ? 206 : 200, {
      'content-type': 'application/octet-stream',
      'content-length': String(end - start + 1),
      ...(hasRange ? { 'content-range': `bytes ${start}-${end}/${size}` } : {}),
    });
    if (req.method !== 'HEAD' && size > 0) {
      for await (const chunk of handle.createReadStream({ start, end, autoClose: false, signal })) {
        if (!res.write(chunk)) await once(res, 'drain', { signal });
      }
    }
    res.end();
  }

  return createServer((req, res) => {
    const left = new AbortController();
    res.on('close', () => left.abort());
    const work = async () => {
      if (req.url === '/ping') res.writeHead(200).end('pong\n');
      else if (req.url === '/file') await sendFile(req, res, left.signal);
      else if (req.url === '/summary') {
        const { ino, size, mtimeNs } = await stat(file, { bigint: true });
        const version = [ino, size, mtimeNs].join();
        if (underWay?.version !== version) {
          const mine = (underWay = { version, summary: makeSummary() });
          const forget = () => void (underWay === mine && (underWay = undefined));
          mine.summary.then(forget, forget);
        }
        res.end(await underWay.summary);
      } else res.writeHead(404).end();
    };
    work().catch((error: NodeJS.ErrnoException) => {
      if (res.headersSent || left.signal.aborted) res.destroy();
      else res.writeHead(error.code === 'ENOENT' ? 404 : 503).end(String(error.message));
    });
  });
}
