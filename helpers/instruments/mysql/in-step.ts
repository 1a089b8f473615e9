import type { Connection } from 'mysql2/promise';
import { until } from '../../foundations/waiting/until.ts';
import type { Command, Hold } from './holds.ts';
import { waitingThreads } from './lock-waits.ts';
import { type MysqlProxy, pendingThreads } from './proxy.ts';
import { Timeline } from './timeline.ts';

const deadlock = 1213;

export interface InStep<T> {
  /** A connection of the test's own that may see every session of the server. */
  readonly admin: Connection;
  /** Each behind a proxy of its own. */
  readonly calls: readonly { readonly proxy: MysqlProxy; call(): Promise<T> }[];
  /** After so many statements the calls go on freely. Default 300. */
  readonly mostStatements?: number;
}

/** A call that goes on a statement at a time. */
class Walker<T> {
  readonly proxy: MysqlProxy;
  readonly call: Promise<T>;
  isOver = false;
  /** The statement whose answer is withheld. */
  held: Command | undefined;
  statements = 0;
  deadlocks = 0;
  #hold!: Hold;

  constructor(proxy: MysqlProxy, call: () => Promise<T>) {
    this.proxy = proxy;
    this.#holdNext();
    this.call = call().finally(() => (this.isOver = true));
    this.call.catch(() => undefined);
  }

  /** Lets it have its answer, and withholds the next one. */
  goOn(): void {
    const former = this.#hold;
    this.held = undefined;
    this.#holdNext();
    former.release();
  }

  release(): void {
    this.#hold.release();
  }

  #holdNext(): void {
    const hold = this.proxy.holdCommand(1);
    this.#hold = hold;
    void hold.reached.then((command) => {
      if (this.#hold !== hold) return;
      this.held = command;
      this.statements += 1;
      if (command.errno === deadlock) this.deadlocks += 1;
    });
  }
}

/**
 * Runs calls at once, a statement each in turn, as far as no lock keeps them from it. A call that the server has ended in a
 * deadlock takes all its statements first: so it has begun again, and is in the way, before the one goes on that won.
 * @returns what the calls returned
 * @throws what a call throws; calls are expected to come back with data that says how they went
 */
export async function inStep<T>({
  admin,
  calls,
  mostStatements = 300,
}: InStep<T>): Promise<{ readonly outcomes: T[]; readonly timeline: string }> {
  const timeline = new Timeline();
  const walkers: Walker<T>[] = [];
  // Calls may wait for each other inside their process, where nobody sees it. That is waited for in vain only once.
  let limitMs = 2_000;
  const rest = async () => {
    if (!(await until(() => standStill(admin, walkers), limitMs))) limitMs = 0;
  };
  try {
    for (const { proxy, call } of calls) {
      proxy.record(timeline);
      walkers.push(new Walker(proxy, call));
      await rest();
    }
    for (let statement = 0; statement < mostStatements; statement++) {
      // The server may still be looking for the victim of a deadlock.
      await until(() => walkers.some(({ held }) => held) || walkers.every(({ isOver }) => isOver));
      const [next] = walkers
        .filter(({ held }) => held)
        .toSorted((one, other) => other.deadlocks - one.deadlocks || one.statements - other.statements);
      if (!next) break;
      next.goOn();
      await rest();
    }
  } finally {
    for (const walker of walkers) {
      walker.release();
      walker.proxy.record(undefined);
    }
  }
  return { outcomes: await Promise.all(walkers.map(({ call }) => call)), timeline: timeline.toString() };
}

/** Whether each call is over, held, or waits for a lock. Seen twice, so that the moment before an answer is not taken for a wait. */
async function standStill(admin: Connection, walkers: readonly Walker<unknown>[]): Promise<boolean> {
  for (let seen = 0; seen < 2; seen++) {
    const free = walkers.filter(({ held, isOver }) => !held && !isOver);
    if (free.length === 0) return true;
    const pending = free.map(({ proxy }) => proxy.pending.commands.map(({ threadId }) => threadId));
    if (pending.some((threads) => threads.length === 0)) return false;
    const waiting = await waitingThreads(admin, pending.flat(), pendingThreads());
    if (!pending.flat().every((thread) => waiting.has(thread))) return false;
  }
  return true;
}
