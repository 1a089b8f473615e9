import { randomBytes } from 'node:crypto';
import { type Socket, connect } from 'node:net';
import type { SteppedWait } from '../../helpers/instruments/socket-client/socket-client.ts';
import type * as Kata from '../../katas/socket-load/socket-load.ts';

export interface RawClientOptions {
  readonly port: number;
  readonly user: string;
  readonly patience: SteppedWait;
}

/** The first byte of a text that is a frame of its own (RFC 6455, 5.2). */
const wholeText = 0x81;
const isMasked = 0x80;

/**
 * A client on a TCP socket, without a library in between: what it does not read stays with the operating system. It speaks no more of
 * WebSocket (RFC 6455), Engine.IO and Socket.IO than the judge needs, for texts of ASCII that the server sends in one frame each.
 */
export class RawClient {
  readonly messages: Kata.Message[] = [];
  readonly #socket: Socket;
  readonly #options: RawClientOptions;
  readonly #opened = Promise.withResolvers<void>();
  readonly #lost = Promise.withResolvers<never>();
  readonly #answers = new Map<number, (answer: unknown) => void>();
  #asked = 0;
  #isUpgraded = false;
  #received: Buffer = Buffer.alloc(0);

  private constructor(options: RawClientOptions) {
    this.#options = options;
    this.#lost.promise.catch(() => undefined);
    this.#socket = connect(options.port, '127.0.0.1')
      .on('data', (bytes: Buffer) => this.#take(bytes))
      .on('error', () => undefined)
      .on('close', () => this.#lost.reject(new Error('a client lost its connection')));
    const lines = [
      'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1',
      `Host: 127.0.0.1:${options.port}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    ];
    this.#socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  }

  /** @throws Error when the server does not let it in */
  static async connect(options: RawClientOptions): Promise<RawClient> {
    const client = new RawClient(options);
    await options.patience.wait(
      Promise.race([client.#opened.promise, client.#lost.promise]),
      'a client could not connect',
    );
    return client;
  }

  /** Whether it is connected and reads. */
  get isReading(): boolean {
    return !this.#socket.isPaused() && !this.#socket.destroyed;
  }

  async join(room: string): Promise<Kata.Joined> {
    return (await this.ask('join', room, null)) as Kata.Joined;
  }

  /** Sends events in one piece. Each asks for an acknowledgment that nobody waits for. */
  send(...events: (readonly [event: string, ...args: unknown[]])[]): void {
    this.#write(...events.map((event) => `42${++this.#asked}${JSON.stringify(event)}`));
  }

  /** Sends an event and returns the acknowledgment. */
  async ask(event: string, ...args: unknown[]): Promise<unknown> {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    this.send([event, ...args]);
    this.#answers.set(this.#asked, resolve);
    return await this.#options.patience.wait(
      Promise.race([promise, this.#lost.promise]),
      `a client sent ${event} and got no acknowledgment`,
    );
  }

  textsOf(room: string): string[] {
    return this.messages.filter((message) => message.room === room).map(({ text }) => text);
  }

  /** From now on it takes nothing from its connection. */
  stopReading(): void {
    this.#socket.pause();
  }

  goOn(): void {
    this.#socket.resume();
  }

  /** Ends its connection without a word. */
  end(): void {
    this.#socket.destroy();
  }

  #write(...texts: string[]): void {
    const frames = texts.map((text) => {
      const bytes = Buffer.from(text);
      if (bytes.length > 125) throw new Error(`a text of ${bytes.length} bytes does not fit into a short frame`);
      const mask = randomBytes(4);
      return [Buffer.from([wholeText, isMasked | bytes.length]), mask, bytes.map((byte, at) => byte ^ mask[at % 4]!)];
    });
    this.#socket.write(Buffer.concat(frames.flat()));
  }

  #take(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    if (!this.#isUpgraded) {
      const end = this.#received.indexOf('\r\n\r\n');
      if (end === -1) return;
      this.#isUpgraded = true;
      this.#received = this.#received.subarray(end + 4);
    }
    for (let text = this.#nextText(); text !== undefined; text = this.#nextText()) this.#hear(text);
  }

  /** Takes the next frame, if all of it is there. */
  #nextText(): string | undefined {
    const bytes = this.#received;
    if (bytes.length < 2) return undefined;
    const short = bytes[1]!;
    const start = short === 127 ? 10 : short === 126 ? 4 : 2;
    if (bytes.length < start) return undefined;
    const length = short === 127 ? Number(bytes.readBigUInt64BE(2)) : short === 126 ? bytes.readUInt16BE(2) : short;
    if (bytes.length < start + length) return undefined;
    this.#received = bytes.subarray(start + length);
    return bytes[0] === wholeText ? bytes.toString('latin1', start, start + length) : '';
  }

  /** The first digit is Engine.IO's type of packet, the second that of Socket.IO. */
  #hear(text: string): void {
    const [, type, id, data] = /^(0|4[023])(\d*)(.*)$/s.exec(text) ?? [];
    if (type === '0') this.#write(`40${JSON.stringify({ user: this.#options.user })}`);
    if (type === '40') this.#opened.resolve();
    if (type === '42') {
      const [event, message] = JSON.parse(data!) as [string, Kata.Message];
      if (event === 'message') this.messages.push(message);
    }
    if (type === '43') {
      const [answer] = JSON.parse(data!) as [unknown];
      this.#answers.get(Number(id))?.(answer);
      this.#answers.delete(Number(id));
    }
  }
}
