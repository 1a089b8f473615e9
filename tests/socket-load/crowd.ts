import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { spawnLeashed } from '../../helpers/foundations/processes/spawn-leashed.ts';
import { SteppedWait, type SteppedWaitOptions } from '../../helpers/instruments/socket-client/socket-client.ts';
import type { Guest, Order, Share } from './crowd-process.ts';

type Act = Order extends infer One ? (One extends Order ? Omit<One, 'id' | 'crowd'> : never) : never;

interface Answer {
  readonly id: number;
  readonly answer?: readonly Share[];
  readonly error?: string;
}

/** How many clients of a process connect at once. */
const atOnce = 50;

/** A process for clients, beside that of the judge. */
class ClientProcess {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<readonly Share[]>>();
  #orders = 0;

  constructor() {
    const file = fileURLToPath(new URL('crowd-process.ts', import.meta.url));
    this.#child = spawnLeashed(process.execPath, [file], { stdio: ['pipe', 'pipe', 'inherit'] });
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      const { id, answer = [], error } = JSON.parse(line) as Answer;
      if (error === undefined) this.#waiting.get(id)?.resolve(answer);
      else this.#waiting.get(id)?.reject(new Error(error));
      this.#waiting.delete(id);
    });
    this.#child.once('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('a process of clients has ended'));
    });
  }

  /** @throws Error when a client cannot connect */
  async order(crowd: string, act: Act): Promise<readonly Share[]> {
    const order: Order = { id: ++this.#orders, crowd, ...act };
    const waiting = Promise.withResolvers<readonly Share[]>();
    this.#waiting.set(order.id, waiting);
    this.#child.stdin!.write(`${JSON.stringify(order)}\n`);
    return await waiting.promise;
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }
}

/** Two processes for clients, so that the event loop of the judge does not serve hundreds of them. */
export class ClientProcesses implements Disposable {
  readonly #processes = [new ClientProcess(), new ClientProcess()];

  /** Lets the guests come to a server, half of them from each process. Each has joined its rooms when this resolves. */
  async crowd(name: string, port: number, guests: readonly Guest[], patience: SteppedWaitOptions): Promise<Crowd> {
    const crowd = new Crowd(name, this.#processes, patience);
    for (let from = 0; from < guests.length; from += 2 * atOnce) {
      const some = (at: number) => guests.slice(from + at * atOnce, from + (at + 1) * atOnce);
      await crowd.order((at) => ({ act: 'come', port, guests: some(at) }));
    }
    return crowd;
  }

  [Symbol.dispose](): void {
    for (const one of this.#processes) one.end();
  }
}

/** Many clients of a server. */
export class Crowd {
  readonly #name: string;
  readonly #processes: readonly ClientProcess[];
  readonly #patience: SteppedWait;

  constructor(name: string, processes: readonly ClientProcess[], patience: SteppedWaitOptions) {
    this.#name = name;
    this.#processes = processes;
    // A process that gets no time to run uses up none of the patience.
    const step = async () => {
      await Promise.all([patience.step(), ...processes.map((one) => one.order(name, { act: 'ping' }))]);
    };
    this.#patience = new SteppedWait({ ...patience, step });
  }

  /** Gives an order to each process. */
  async order(actOf: (process: number) => Act): Promise<Share[]> {
    const answers = Promise.all(this.#processes.map((one, at) => one.order(this.#name, actOf(at))));
    return (await this.#patience.wait(answers, 'many clients came, and not all of them got an answer')).flat();
  }

  /** The server's answers to all that they sent, and what it sent before, have come. */
  async fence(): Promise<void> {
    await this.order(() => ({ act: 'fence' }));
  }

  /** What its clients got: those of a share got the same, in the same order. */
  async shares(): Promise<Share[]> {
    return await this.order(() => ({ act: 'tell' }));
  }

  go(): void {
    for (const one of this.#processes) void one.order(this.#name, { act: 'go' }).catch(() => undefined);
  }
}
