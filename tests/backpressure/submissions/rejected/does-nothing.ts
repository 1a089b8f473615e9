/*
breaks: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
why: The server answers only pings. Work that never starts can neither block nor leak.
ask: Which of your tests would pass for a server that serves nobody?
*/
import { type Server, createServer } from 'node:http';

export function createFileServer(_file: string): Server {
  return createServer((req, res) => {
    if (req.url === '/ping') res.end('pong');
    else res.writeHead(404).end();
  });
}
