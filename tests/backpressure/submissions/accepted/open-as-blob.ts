import { createHash } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import { stat } from 'node:fs/promises';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import { pipeline } from 'node:stream/promises';

/** Opens the file as a Blob and slices it for ranges. Node closes the file when the Blob is garbage-collected. */
export function createFileServer(file: string): Server {
  const underWay = new Map<string, Promise<string>>();

  async function summarize(): Promise<string> {
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of (await openAsBlob(file)).stream()) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    return JSON.stringify({ bytes, sha256: hash.digest('hex') });
  }

  async function sendSummary(res: ServerResponse): Promise<void> {
    const { size, mtimeMs } = await stat(file);
    const version = `${size} ${mtimeMs}`;
    let summary = underWay.get(version);
    if (!summary) {
      summary = summarize().finally(() => underWay.delete(version));
      underWay.set(version, summary);
    }
    res.end(await summary);
  }

  async function sendFile(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { size } = await stat(file);
    const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(req.headers.range ?? '') ?? [];
    const hasRange = first + last !== '';
    const start = first ? Number(first) : last ? Math.max(0, size - Number(last)) : 0;
    const end = first && last ? Math.min(size, Number(last) + 1) : size;
    if (hasRange && start >= size) return void res.writeHead(416, { 'content-range': `bytes */${size}` }).end();
    res.statusCode = hasRange ? 206 : 200;
    res.setHeader('content-length', end - start);
    if (hasRange) res.setHeader('content-range', `bytes ${start}-${end - 1}/${size}`);
    if (req.method === 'HEAD' || size === 0) return void res.end();
    const blob = await openAsBlob(file);
    await pipeline(blob.slice(start, end).stream(), res);
  }

  return createServer((req, res) => {
    const answer = async () => {
      if (req.url === '/ping') res.end('pong');
      else if (req.url === '/summary') await sendSummary(res);
      else if (req.url === '/file') await sendFile(req, res);
      else res.writeHead(404).end();
    };
    answer().catch((error: NodeJS.ErrnoException) => {
      if (res.headersSent) return res.destroy();
      for (const name of res.getHeaderNames()) res.removeHeader(name);
      return res.writeHead(error.code === 'ENOENT' ? 404 : 500).end();
    });
  });
}
