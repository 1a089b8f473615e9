import { type Socket, createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Where no system gives ports to connections by itself. */
const firstPort = 20_000;
const portCount = 12_000;

/** A TCP port that nobody listens on, until workers do. Its twin for UDP is bound meanwhile, so that no other judge takes it. */
export class ReservedPort implements AsyncDisposable {
  readonly number: number;
  readonly #twin: Socket;

  private constructor(number: number, twin: Socket) {
    this.number = number;
    this.#twin = twin;
  }

  static async find(): Promise<ReservedPort> {
    for (;;) {
      const number = firstPort + Math.floor(Math.random() * portCount);
      const twin = createSocket('udp4').unref();
      const isOurs = await new Promise<boolean>((resolve) => {
        twin
          .once('error', () => resolve(false))
          .bind({ port: number, address: '127.0.0.1', exclusive: true }, () => resolve(true));
      });
      if (isOurs && (await isFree(number))) return new ReservedPort(number, twin);
      twin.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#twin.close();
    await once(this.#twin, 'close');
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listens = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
  });
  if (listens) await new Promise((resolve) => server.close(resolve));
  return listens;
}
