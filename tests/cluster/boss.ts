import { once } from 'node:events';
import { type Server, type Socket, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import type { Order, Told } from './worker.ts';

/** What a worker does as soon as it has started. `wait` is nothing, until the judge orders more. */
export type Plan = 'listen' | 'wait' | { readonly exit: number };

/** A worker process as the judge sees it, over a connection that the module has no part in. */
export interface SeenWorker {
  readonly pid: number;
  readonly port: string | undefined;
  /** Whether a request can reach it. */
  readonly listens: boolean;
  /** Whether its process has ended. */
  readonly isGone: boolean;
  /** Whether it has lost its channel to the primary process, which is how it is asked to stop. */
  readonly isAsked: boolean;
  readonly isFrozen: boolean;
  /** How many orders it has obeyed, of those that it acknowledges. */
  readonly obeyed: number;
  /** The requests that it holds. */
  readonly holds: ReadonlySet<string>;
  order(order: Order): void;
}

/** Gives orders to all worker processes of one primary. */
export class Boss implements AsyncDisposable {
  /** In the order in which they started. */
  readonly workers: SeenWorker[] = [];
  /** What each one does that starts from now on. */
  plan: (index: number) => Plan = () => 'listen';
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createServer({ noDelay: true }, (socket) => this.#meet(socket));
  }

  static async open(): Promise<Boss> {
    const boss = new Boss();
    boss.#server.listen(0, '127.0.0.1');
    await once(boss.#server, 'listening');
    return boss;
  }

  get address() {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port };
  }

  get living(): SeenWorker[] {
    return this.workers.filter(({ isGone }) => !isGone);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #meet(socket: Socket): void {
    this.#sockets.add(socket);
    const order = (what: Order) => void (socket.writable && socket.write(`${JSON.stringify(what)}\n`));
    const worker = {
      pid: 0,
      port: undefined as string | undefined,
      listens: false,
      isGone: false,
      isAsked: false,
      isFrozen: false,
      obeyed: 0,
      order,
    };
    const holds = new Set<string>();
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      worker.isGone = true;
    });
    createInterface({ input: socket })
      .on('error', () => undefined)
      .on('line', (line) => {
        const told = JSON.parse(line) as Told;
        if (told.told === 'holds') holds.add(told.path);
        if (told.told === 'listens') worker.listens = true;
        if (told.told === 'asked') worker.isAsked = true;
        if (told.told === 'frozen') worker.isFrozen = true;
        if (told.told === 'obeyed') worker.obeyed += 1;
        if (told.told === 'started') {
          Object.assign(worker, { pid: told.pid, port: told.port });
          const index = this.workers.push(Object.assign(worker, { holds })) - 1;
          const plan = this.plan(index);
          if (plan === 'listen') order({ do: 'listen' });
          else if (plan !== 'wait') order({ do: 'exit', code: plan.exit });
        }
      });
  }
}
