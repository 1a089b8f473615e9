/*
breaks: [4]
why: A range is read into memory in one go, however long it is; only the whole file is streamed.
ask: A player asks for bytes=1000- of a film and pauses. What does that cost you?
*/
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import { pipeline } from 'node:stream/promises';

export function createFileServer(file: string) {
  let underWay: { version: string; summary: Promise<object> } | undefined;

  async function summarise() {
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of createReadStream(file)) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    return { bytes, sha256: hash.digest('hex') };
  }

  async function sendFile(req: IncomingMessage, res: ServerResponse) {
    const { size } = await stat(file);
    const range = readRange(req.headers.range, size);
    if (range && range.start >= size) return res.writeHead(416, { 'content-range': `bytes */${size}` }).end();
    const { start, end } = range ?? { start: 0, end: size - 1 };
    res.statusCode = range ? 206 : 200;
    if (range) res.setHeader('content-range', `bytes ${start}-${end}/${size}`);
    res.setHeader('content-length', end - start + 1);
    if (req.method === 'HEAD' || size === 0 || res.destroyed) return res.end();
    if (range && end - start >= 1024 * 1024) {
      await using handle = await open(file);
      const { buffer } = await handle.read(Buffer.allocUnsafe(end - start + 1), 0, end - start + 1, start);
      return res.end(buffer);
    }
    return await pipeline(createReadStream(file, { start, end }), res);
  }

  async function answer(req: IncomingMessage, res: ServerResponse) {
    try {
      if (req.url === '/ping') res.end('pong');
      else if (req.url === '/summary') {
        const { size, mtimeMs } = await stat(file);
        const version = `${size} ${mtimeMs}`;
        if (underWay?.version !== version)
          underWay = { version, summary: summarise().finally(() => (underWay = undefined)) };
        res.end(JSON.stringify(await underWay.summary));
      } else if (req.url === '/file') await sendFile(req, res);
      else res.writeHead(404).end();
    } catch (error) {
      if (res.headersSent) return res.destroy();
      for (const name of res.getHeaderNames()) res.removeHeader(name);
      return res.writeHead((error as NodeJS.ErrnoException).code === 'ENOENT' ? 404 : 500).end();
    }
    return undefined;
  }

  return createServer((req, res) => void answer(req, res));
}

function readRange(header = '', size: number) {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? [];
  if (!first && !last) return undefined;
  if (!first) return { start: Math.max(0, size - Number(last)), end: size - 1 };
  return { start: Number(first), end: last ? Math.min(Number(last), size - 1) : size - 1 };
}
