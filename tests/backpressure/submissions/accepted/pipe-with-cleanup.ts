import { createHash } from 'node:crypto';
import { createReadStream, stat } from 'node:fs';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';

type Told = (error: NodeJS.ErrnoException | null, summary?: object) => void;

/** Uses callbacks, events and pipe(), and does by hand what pipe() does not do. */
export function createFileServer(file: string): Server {
  /** The callers who wait for a summary, by file version. */
  const asking = new Map<string, Told[]>();

  function fail(res: ServerResponse, error: NodeJS.ErrnoException): void {
    if (res.headersSent) res.destroy();
    else res.writeHead(error.code === 'ENOENT' ? 404 : 500).end();
  }

  function summary(told: Told): void {
    stat(file, (error, stats) => {
      if (error) return told(error);
      const version = `${stats.size} ${stats.mtimeMs}`;
      const others = asking.get(version);
      if (others) return void others.push(told);
      asking.set(version, [told]);
      return make((failure, made) => {
        const all = asking.get(version)!;
        asking.delete(version);
        for (const one of all) one(failure, made);
      });
    });
  }

  function make(tell: Told): void {
    const hash = createHash('sha256');
    let bytes = 0;
    createReadStream(file)
      .on('data', (chunk) => {
        hash.update(chunk);
        bytes += chunk.length;
      })
      .on('end', () => tell(null, { sha256: hash.digest('hex'), bytes }))
      .on('error', (error) => tell(error));
  }

  function send(req: IncomingMessage, res: ServerResponse): void {
    stat(file, (error, stats) => {
      if (error) return fail(res, error);
      if (!stats.isFile()) return res.writeHead(404).end();
      const range = /^bytes=(\d*)-(\d*)$/.exec(req.headers.range ?? '');
      let [start, end] = [0, stats.size - 1];
      if (range?.[1]) [start, end] = [Number(range[1]), range[2] ? Math.min(end, Number(range[2])) : end];
      else if (range?.[2]) start = Math.max(0, stats.size - Number(range[2]));
      if (range && start > end) return res.writeHead(416, { 'content-range': `bytes */${stats.size}` }).end();
      const headers = {
        'content-length': end - start + 1,
        ...(range && { 'content-range': `bytes ${start}-${end}/${stats.size}` }),
      };
      if (req.method === 'HEAD' || stats.size === 0) return res.writeHead(range ? 206 : 200, headers).end();
      const stream = createReadStream(file, { start, end });
      stream.on('open', () => res.writeHead(range ? 206 : 200, headers));
      stream.on('error', (failure) => fail(res, failure));
      res.on('close', () => stream.destroy());
      // It may already have closed.
      if (res.destroyed) stream.destroy();
      return stream.pipe(res);
    });
  }

  return createServer((req, res) => {
    if (req.url === '/ping') res.end('pong');
    else if (req.url === '/file') send(req, res);
    else if (req.url === '/summary')
      summary((error, made) => (error ? fail(res, error) : res.end(JSON.stringify(made))));
    else res.writeHead(404).end();
  });
}
