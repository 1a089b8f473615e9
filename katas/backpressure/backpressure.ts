import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { type Server, createServer } from 'node:http';

/** Serves one file, and a summary of it. */
export function createFileServer(file: string): Server {
  return createServer((req, res) => {
    if (req.url === '/ping') {
      res.end('pong');
    } else if (req.url === '/summary') {
      const content = readFileSync(file);
      const sha256 = createHash('sha256').update(content).digest('hex');
      res.setHeader('content-type', 'application/json');
      res.end(JSON.stringify({ bytes: content.length, sha256 }));
    } else if (req.url === '/file') {
      const stream = createReadStream(file);
      stream.on('data', (chunk) => res.write(chunk));
      stream.on('end', () => res.end());
    } else {
      res.statusCode = 404;
      res.end();
    }
  });
}
