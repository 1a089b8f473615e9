import { EventEmitter, once } from 'node:events';
import type * as Starter from '../../../../katas/connection-pool/connection-pool.ts';

const named = (name: string) =>
  class extends Error {
    override get name(): string {
      return name;
    }
  };
export const AcquireTimeoutError = named('AcquireTimeoutError');
export const NotHeldError = named('NotHeldError');
export const PoolDrainedError = named('PoolDrainedError');

type State = 'opening' | 'idle' | 'checking' | 'held' | 'resetting' | 'closing';

interface Slot<C> {
  state: State;
  connection?: C;
  timer?: NodeJS.Timeout;
}

type Settle<C> = (error: unknown, connection?: C) => void;

/** There are no counters: what the pool does next follows from the states of its slots. */
class SlotPool<C extends object> extends EventEmitter implements Starter.ConnectionPool<C> {
  private slots: Slot<C>[] = [];
  private queue: Settle<C>[] = [];
  private drained: Promise<unknown> | undefined;

  constructor(private readonly options: Starter.PoolOptions<C>) {
    super();
    this.setMaxListeners(0);
  }

  async acquire({ signal }: Starter.AcquireOptions = {}): Promise<C> {
    if (this.drained) throw new PoolDrainedError();
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<C>();
    this.queue.push((error, connection) => (connection ? resolve(connection) : reject(error)));
    const mine = this.queue.at(-1)!;
    const giveUp = (error: unknown) => {
      this.queue = this.queue.filter((other) => other !== mine);
      mine(error);
      this.turn();
    };
    const onAbort = () => giveUp(signal!.reason);
    const timer = setTimeout(giveUp, this.options.acquireTimeoutMs, new AcquireTimeoutError());
    signal?.addEventListener('abort', onAbort, { once: true });
    this.turn();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  release(connection: C): void {
    const slot = this.slots.find((one) => one.state === 'held' && one.connection === connection);
    if (!slot) throw new NotHeldError();
    void this.move(slot, 'resetting', this.options.reset(connection));
  }

  async using<T>(fn: (connection: C) => T | PromiseLike<T>, options?: Starter.AcquireOptions): Promise<T> {
    const connection = await this.acquire(options);
    return await (async () => fn(connection))().finally(() => this.release(connection));
  }

  async drain(): Promise<void> {
    this.drained ??= once(this, 'empty');
    const { drained } = this;
    this.turn();
    await drained;
  }

  private in(...states: State[]): Slot<C>[] {
    return this.slots.filter(({ state }) => states.includes(state));
  }

  /** Looks at all slots, and begins what there is to do. */
  private turn(): void {
    const coming = () => this.in('opening', 'checking', 'resetting').length;
    while (coming() < this.queue.length) {
      const [idle] = this.in('idle');
      if (idle) {
        clearTimeout(idle.timer);
        void this.move(idle, 'checking', this.options.validate(idle.connection!));
      } else if (this.slots.length < this.options.max) {
        const slot: Slot<C> = { state: 'opening' };
        this.slots.push(slot);
        void this.move(slot, 'opening', this.options.create());
      } else break;
    }
    if (!this.drained) return;
    if (this.queue.length === 0) for (const slot of this.in('idle')) this.close(slot);
    if (this.slots.length + this.queue.length === 0) this.emit('empty');
  }

  private async move(slot: Slot<C>, state: State, work: Promise<C | boolean | void>): Promise<void> {
    slot.state = state;
    try {
      const result = await work;
      if (result === false) throw new Error('dead');
      if (typeof result === 'object') slot.connection = result;
      this.ready(slot);
    } catch (error) {
      if (slot.connection) this.close(slot);
      else {
        this.slots = this.slots.filter((other) => other !== slot);
        this.queue.shift()?.(error);
      }
    }
    this.turn();
  }

  private ready(slot: Slot<C>): void {
    const next = this.queue.shift();
    slot.state = next ? 'held' : 'idle';
    if (next) return next(undefined, slot.connection);
    slot.timer = setTimeout(() => {
      if (this.slots.length - this.in('closing').length > this.options.min) this.close(slot);
    }, this.options.idleTimeoutMs).unref();
  }

  private close(slot: Slot<C>): void {
    clearTimeout(slot.timer);
    slot.state = 'closing';
    const gone = () => {
      this.slots = this.slots.filter((other) => other !== slot);
      this.turn();
    };
    this.options.destroy(slot.connection!).then(gone, gone);
  }
}

export const createPool = <C extends object>(options: Starter.PoolOptions<C>): Starter.ConnectionPool<C> =>
  new SlotPool(options);
