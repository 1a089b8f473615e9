import { createHash } from 'node:crypto';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { type Server, type ServerResponse, createServer } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Uses web streams and the Response of fetch: Readable.toWeb for the file, pipeTo for the summary. */
export function createFileServer(file: string): Server {
  const open = (start = 0, end = Infinity) =>
    Readable.toWeb(createReadStream(file, { start, end })) as ReadableStream<Uint8Array>;
  const making = new Map<number, Promise<{ bytes: number; sha256: string }>>();

  async function make() {
    const hash = createHash('sha256');
    let bytes = 0;
    await open().pipeTo(
      new WritableStream({
        write(chunk) {
          hash.update(chunk);
          bytes += chunk.byteLength;
        },
      }),
    );
    return { bytes, sha256: hash.digest('hex') };
  }

  async function respond(res: ServerResponse, response: Response): Promise<void> {
    res.writeHead(response.status, Object.fromEntries(response.headers));
    if (response.body) await pipeline(response.body, res);
    else res.end();
  }

  async function answer(method: string, url: string, range: string | undefined): Promise<Response> {
    if (url === '/ping') return new Response('pong');
    if (!existsSync(file)) return new Response('missing', { status: 404 });
    if (url === '/summary') {
      const { mtimeMs } = statSync(file);
      if (!making.has(mtimeMs))
        making.set(
          mtimeMs,
          make().finally(() => making.delete(mtimeMs)),
        );
      return Response.json(await making.get(mtimeMs));
    }
    if (url !== '/file') return new Response(null, { status: 404 });

    const { size } = statSync(file);
    const headers: Record<string, string> = { 'content-length': String(size), etag: `"${size}"` };
    const [, first, last] = range?.match(/^bytes=(\d*)-(\d*)$/) ?? [];
    if (method === 'HEAD') return new Response(null, { headers });
    if (!first && !last) return new Response(open(), { headers });
    const start = first ? Number(first) : Math.max(0, size - Number(last));
    const end = first && last ? Math.min(Number(last), size - 1) : size - 1;
    if (start >= size) return new Response(null, { status: 416, headers: { 'content-range': `bytes */${size}` } });
    return new Response(open(start, end), {
      status: 206,
      headers: { 'content-range': `bytes ${start}-${end}/${size}`, 'content-length': String(end - start + 1) },
    });
  }

  return createServer((req, res) => {
    answer(req.method!, req.url!, req.headers.range)
      .then((response) => respond(res, response))
      .catch(() => (res.headersSent ? res.destroy() : res.writeHead(500).end()));
  });
}
