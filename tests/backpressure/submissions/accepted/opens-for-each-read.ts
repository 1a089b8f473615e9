import { createHash } from 'node:crypto';
import { constants, promises as fs } from 'node:fs';
import { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';

/** A Readable that opens and closes the file for each read, so that no file stays open in between. */
class Slices extends Readable {
  #position: number;

  constructor(
    private readonly file: string,
    from: number,
    private readonly to: number,
  ) {
    super({ highWaterMark: 128 * 1024 });
    this.#position = from;
  }

  override _read(size: number): void {
    this.#next(Math.min(size, this.to - this.#position)).then(
      (chunk) => this.push(chunk),
      (error) => this.destroy(error),
    );
  }

  async #next(length: number): Promise<Buffer | null> {
    if (length <= 0) return null;
    const handle = await fs.open(this.file, constants.O_RDONLY);
    try {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(length), 0, length, this.#position);
      if (bytesRead === 0) throw new Error('shorter than it was');
      this.#position += bytesRead;
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  }
}

class FileServer extends Server {
  #underWay = new Map<string, Promise<object>>();

  constructor(private readonly file: string) {
    super();
    this.on('request', (req, res) => void this.#respond(req, res));
  }

  async #respond(req: IncomingMessage, res: ServerResponse): Promise<void> {
    try {
      if (req.url === '/ping') res.end('ok');
      else if (req.url === '/summary') res.end(JSON.stringify(await this.#summary()));
      else await this.#send(req, res);
    } catch (error) {
      if (res.headersSent) res.socket?.destroy();
      else res.writeHead(String(error).includes('ENOENT') ? 404 : 500).end();
    }
  }

  async #summary(): Promise<object> {
    const { size, mtimeMs } = await fs.stat(this.file);
    const version = `${size} ${mtimeMs}`;
    const made = this.#underWay.get(version) ?? this.#summarise();
    this.#underWay.set(version, made);
    const forget = () => this.#underWay.delete(version);
    made.then(forget, forget);
    return made;
  }

  async #summarise(): Promise<object> {
    const { size } = await fs.stat(this.file);
    const hash = createHash('sha256');
    for await (const chunk of new Slices(this.file, 0, size)) hash.write(chunk);
    hash.end();
    return { bytes: size, sha256: hash.read().toString('hex') };
  }

  async #send(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { size } = await fs.lstat(this.file);
    const range = /^bytes=(?:(\d+)-(\d*)|-(\d+))$/.exec(req.headers.range ?? '');
    const from = range ? Number(range[1] ?? Math.max(0, size - Number(range[3]))) : 0;
    const to = range?.[2] ? Math.min(size, Number(range[2]) + 1) : size;
    if (range && from >= size) return void res.writeHead(416, [['Content-Range', `bytes */${size}`]].flat()).end();
    res.statusCode = range ? 206 : 200;
    if (range) res.setHeader('Content-Range', `bytes ${from}-${to - 1}/${size}`);
    res.setHeader('Content-Length', to - from);
    if (req.method === 'HEAD') return void res.end();
    res.flushHeaders();
    const slices = new Slices(this.file, from, to);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    slices.on('error', reject).pipe(res);
    res.on('close', () => resolve(void slices.destroy()));
    if (res.closed) slices.destroy();
    return await promise;
  }
}

export const createFileServer = (file: string): Server => new FileServer(file);
