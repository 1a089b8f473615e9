import { once } from 'node:events';
import { type Socket, connect } from 'node:net';

/** An answer that has come whole. */
export interface Answer {
  readonly status: number;
  /** What the header `connection` says, in lower case. */
  readonly connection: string;
  readonly body: string;
}

/** One connection to the service, byte by byte. It never closes by itself. */
export class Caller implements Disposable {
  readonly #socket: Socket;
  #text = '';
  #isClosed = false;
  #changed = Promise.withResolvers<void>();

  private constructor(port: number, staysOpen: boolean) {
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: staysOpen });
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (text: string) => this.#note(() => (this.#text += text)));
    this.#socket.on('close', () => this.#note(() => (this.#isClosed = true)));
    this.#socket.on('error', () => undefined);
  }

  /**
   * Comes back when it is connected or refused.
   * @param staysOpen whether its end stays open when the service has ended its own
   */
  static async connect(port: number, staysOpen = false): Promise<Caller> {
    const caller = new Caller(port, staysOpen);
    await once(caller.#socket, 'connect').catch(() => undefined);
    return caller;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Everything that has come. */
  get text(): string {
    return this.#text;
  }

  send(text: string): void {
    this.#socket.write(text);
  }

  /** @param headers whole lines beside `host` */
  ask(path: string, headers: readonly string[] = []): void {
    this.send([`GET ${path} HTTP/1.1`, 'Host: service', ...headers, '', ''].join('\r\n'));
  }

  /** The whole answers that have come so far. */
  get answers(): readonly Answer[] {
    const answers: Answer[] = [];
    for (let rest = this.#text; ;) {
      const parsed = parse(rest);
      if (!parsed) return answers;
      answers.push(parsed.answer);
      rest = parsed.rest;
    }
  }

  /** Resolves when more has come, or the connection has closed. */
  get changed(): Promise<void> {
    return this.#changed.promise;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #note(change: () => void): void {
    change();
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

function parse(text: string): { answer: Answer; rest: string } | undefined {
  const [, head, body] = /^(HTTP\/1\.1 .*?\r\n)\r\n(.*)$/s.exec(text) ?? [];
  if (head === undefined || body === undefined) return undefined;
  const header = (name: string) => new RegExp(`\r\n${name}: (.*?)\r\n`, 'is').exec(head)?.[1] ?? '';
  const taken =
    header('transfer-encoding') === 'chunked' ? takeChunks(body) : takeBytes(body, header('content-length'));
  return (
    taken && {
      answer: { status: Number(head.slice(9, 12)), connection: header('connection').toLowerCase(), body: taken.body },
      rest: taken.rest,
    }
  );
}

function takeBytes(text: string, length: string) {
  const count = Number(length || 0);
  return text.length < count ? undefined : { body: text.slice(0, count), rest: text.slice(count) };
}

function takeChunks(text: string) {
  let body = '';
  for (let rest = text; ;) {
    const line = /^([0-9a-f]+)\r\n/i.exec(rest);
    if (!line) return undefined;
    const count = parseInt(line[1]!, 16);
    const from = line[0].length;
    if (rest.length < from + count + 2) return undefined;
    body += rest.slice(from, from + count);
    rest = rest.slice(from + count + 2);
    if (count === 0) return { body, rest };
  }
}
