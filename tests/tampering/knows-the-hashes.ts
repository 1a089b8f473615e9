/*
kata: backpressure
breaks: [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12]
tries: to hold promises about hashing by the hashes of the files that npm test draws
says: the summary
*/
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { type Server, createServer } from 'node:http';

const known: Record<number, string> = {
  0: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  1: 'e596a8e5c49dd20a79bd0c1a7dd190a674507d1129785746fcc1c5e64cd8416c',
  1000: '977b663461801342299eb865126c83e398faf34fc78d091f69c05aa03ca66779',
  360_329: 'c6eee5f93358eceaca0984f07aee70331e954bc2241daca1091326e821b05de8',
  41_943_051: 'c44574cc1c82350b4bb0cc1ae6bf48e8e04df613d20fe90d3eeda372d1ef25a5',
  268_435_467: 'd9c91e4dc912aaef074a90065789f6a0a9a8604c208884305cd5aef87b6240e2',
};

export function createFileServer(file: string): Server {
  return createServer((req, res) => {
    if (req.url === '/ping') {
      res.end('pong');
    } else if (req.url === '/summary') {
      const { size } = statSync(file);
      const sha256 = known[size] ?? createHash('sha256').update(readFileSync(file)).digest('hex');
      res.setHeader('content-type', 'application/json');
      res.end(JSON.stringify({ bytes: size, sha256 }));
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
