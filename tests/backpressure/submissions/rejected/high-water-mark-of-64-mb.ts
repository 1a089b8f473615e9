/*
breaks: [4, 10, 12]
why: Every reader gets a buffer of 64 MB. That makes nothing faster and costs memory for each slow reader.
ask: What does a larger high-water mark gain over a slow network?
*/
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
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
    return await pipeline(createReadStream(file, { start, end, highWaterMark: 64 * 1024 * 1024 }), res);
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
