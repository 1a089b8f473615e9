import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as http from 'node:http';

/** Reads with fs.read into its own buffer when the reader has room, without a stream for the file. */
export function createFileServer(file: string): http.Server {
  /** The summaries that are being computed, by file version. */
  const pending = new Map<string, Promise<string>>();

  const summarise = () =>
    new Promise<string>((resolve, reject) => {
      fs.open(file, 'r', (openError, fd) => {
        if (openError) return reject(openError);
        const hash = createHash('sha256');
        const buffer = Buffer.alloc(256 * 1024);
        let bytes = 0;
        const next = () =>
          fs.read(fd, buffer, 0, buffer.length, null, (error, length) => {
            if (error || length === 0) {
              return fs.close(fd, () =>
                error ? reject(error) : resolve(JSON.stringify({ bytes, sha256: hash.digest('hex') })),
              );
            }
            hash.update(buffer.subarray(0, length));
            bytes += length;
            return next();
          });
        return next();
      });
    });

  const send = (fd: number, size: number, req: http.IncomingMessage, res: http.ServerResponse) => {
    let from = 0;
    let to = size;
    const match = /^bytes=(\d*)-(\d*)$/.exec(req.headers.range ?? '');
    if (match) {
      const [, first = '', last = ''] = match;
      from = first ? Number(first) : Math.max(0, size - Number(last));
      to = first && last ? Math.min(size, Number(last) + 1) : size;
      if (from >= size) {
        res.writeHead(416, { 'content-range': `bytes */${size}` }).end();
        return fs.close(fd);
      }
      res.statusCode = 206;
      res.setHeader('content-range', `bytes ${from}-${to - 1}/${size}`);
    }
    res.setHeader('content-length', to - from);
    if (req.method === 'HEAD') {
      res.end();
      return fs.close(fd);
    }
    let position = from;
    let isReading = false;
    const finish = () => fs.close(fd, () => undefined);
    const step = (): void => {
      if (res.destroyed) return finish();
      if (position >= to) {
        res.end();
        return finish();
      }
      isReading = true;
      const length = Math.min(64 * 1024, to - position);
      fs.read(fd, Buffer.allocUnsafe(length), 0, length, position, (error, got, chunk) => {
        isReading = false;
        if (error || got === 0 || res.destroyed) {
          res.destroy();
          return finish();
        }
        position += got;
        if (res.write(chunk.subarray(0, got))) return step();
        const go = () => {
          res.off('drain', go).off('close', go);
          step();
        };
        return res.on('drain', go).on('close', go);
      });
    };
    if (!isReading) step();
    return undefined;
  };

  return http.createServer((req, res) => {
    const refuse = (error: NodeJS.ErrnoException) => void res.writeHead(error.code === 'ENOENT' ? 404 : 500).end();
    switch (req.url ?? '') {
      case '/ping':
        return void res.end();
      case '/summary':
        return fs.stat(file, (error, stats) => {
          if (error) return refuse(error);
          const version = `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
          const made = pending.get(version) ?? summarise().finally(() => pending.delete(version));
          pending.set(version, made);
          made.then((text) => res.end(text), refuse);
        });
      case '/file':
        return fs.open(file, 'r', (error, fd) => {
          if (error) return refuse(error);
          return fs.fstat(fd, (statError, stats) => {
            if (!statError) return send(fd, stats.size, req, res);
            refuse(statError);
            return fs.close(fd);
          });
        });
      default:
        return void res.writeHead(404).end();
    }
  });
}
