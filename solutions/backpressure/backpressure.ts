import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type * as Starter from '../../katas/backpressure/backpressure.ts';

interface Summary {
  bytes: number;
  sha256: string;
}

export const createFileServer = ((file: string): Server => {
  /** The summary that is being computed, shared by everyone who asks, and the version of the file that it describes. */
  let underWay: { version: string; summary: Promise<Summary> } | undefined;

  async function sharedSummary(): Promise<Summary> {
    const { ino, size, mtimeNs } = await stat(file, { bigint: true });
    const version = `${ino} ${size} ${mtimeNs}`;
    if (underWay?.version !== version) {
      const mine = (underWay = { version, summary: summarize(file) });
      const forget = () => {
        if (underWay === mine) underWay = undefined;
      };
      mine.summary.then(forget, forget);
    }
    return await underWay.summary;
  }

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    if (req.url === '/ping') res.end('pong');
    else if (req.url === '/summary') {
      const summary = await sharedSummary();
      res.setHeader('content-type', 'application/json').end(JSON.stringify(summary));
    } else if (req.url === '/file') await sendFile(file, req, res);
    else res.writeHead(404).end();
  }

  return createServer((req, res) => {
    answer(req, res).catch((error: NodeJS.ErrnoException) => {
      // Once the headers are sent, only a broken connection tells the reader that the file is not complete.
      if (res.headersSent) return res.destroy();
      for (const name of res.getHeaderNames()) res.removeHeader(name);
      return res.writeHead(error.code === 'ENOENT' ? 404 : 500).end();
    });
  });
}) satisfies typeof Starter.createFileServer;

async function summarize(file: string): Promise<Summary> {
  const hash = createHash('sha256');
  let bytes = 0;
  // One chunk at a time: the event loop turns in between, and pings are answered.
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}

async function sendFile(file: string, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const range = readRange(req.headers.range, size);
    res.setHeader('accept-ranges', 'bytes');
    if (range === 'unsatisfiable') {
      res.writeHead(416, { 'content-range': `bytes */${size}` }).end();
      return;
    }
    const { start, end } = range ?? { start: 0, end: size - 1 };
    if (range) {
      res.statusCode = 206;
      res.setHeader('content-range', `bytes ${start}-${end}/${size}`);
    }
    res.setHeader('content-length', end - start + 1);
    if (req.method === 'HEAD' || size === 0) res.end();
    else await pipe(handle, start, end, res);
  } finally {
    await handle.close();
  }
}

async function pipe(handle: FileHandle, start: number, end: number, res: ServerResponse): Promise<void> {
  // The decisive line: pipeline waits for the reader, and destroys both ends when either fails or leaves.
  await pipeline(handle.createReadStream({ start, end, autoClose: false }), res);
}

/** Returns a range of bytes, both ends included, or undefined if the whole file must be sent. */
function readRange(header = '', size: number): { start: number; end: number } | 'unsatisfiable' | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? [];
  if (first === undefined || last === undefined || first + last === '') return undefined;
  if (first === '')
    return size === 0 || Number(last) === 0
      ? 'unsatisfiable'
      : { start: Math.max(0, size - Number(last)), end: size - 1 };
  const start = Number(first);
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (last !== '' && Number(last) < start) return undefined;
  return start >= size ? 'unsatisfiable' : { start, end };
}
