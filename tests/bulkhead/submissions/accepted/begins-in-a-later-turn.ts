import { EventEmitter, once } from 'node:events';

type Work<T> = (signal?: AbortSignal) => T | PromiseLike<T>;

interface BulkheadOptions {
  concurrency: number;
  queueLimit: number;
}

interface RunOptions {
  signal?: AbortSignal;
}

export class BulkheadFullError extends Error {
  override name = 'BulkheadFullError';
}

export class BulkheadClosedError extends Error {
  override name = 'BulkheadClosedError';
}

type State = 'waiting' | 'at work' | 'over';

interface Call {
  state: State;
  begin(): void;
}

/** All calls of all keys in one ledger. Whoever may begin does so in a later turn of the event loop. */
export function createBulkhead({ concurrency, queueLimit }: BulkheadOptions) {
  const ledger = new Map<string, { inbox: Call[]; outbox: Call[]; running: number; waiting: number }>();
  const news = new EventEmitter();
  let isClosed = false;

  const begin = (page: string) => {
    const entry = ledger.get(page);
    if (!entry) return;
    while (entry.running < concurrency && entry.waiting > 0) {
      // A queue of two stacks: what came in is turned around when the other one is empty.
      if (entry.outbox.length === 0) {
        entry.outbox = entry.inbox.toReversed();
        entry.inbox = [];
      }
      const call = entry.outbox.pop()!;
      if (call.state !== 'waiting') continue;
      call.state = 'at work';
      entry.waiting--;
      entry.running++;
      call.begin();
    }
    if (entry.running + entry.waiting > 0) return;
    ledger.delete(page);
    if (ledger.size === 0) news.emit('idle');
  };

  const run = async <T>(page: string, fn: Work<T>, signal: AbortSignal | undefined): Promise<T> => {
    if (isClosed) throw new BulkheadClosedError(`${page} takes no calls`);
    signal?.throwIfAborted();
    const entry = ledger.get(page) ?? { inbox: [], outbox: [], running: 0, waiting: 0 };
    if (entry.running + entry.waiting >= concurrency + queueLimit) throw new BulkheadFullError(`${page} is full`);
    ledger.set(page, entry);
    let leave = () => {};
    await new Promise<void>((resolve, reject) => {
      const call: Call = { state: 'waiting', begin: resolve };
      leave = () => {
        if (call.state !== 'waiting') return;
        call.state = 'over';
        entry.waiting--;
        setImmediate(begin, page);
        reject(signal!.reason as Error);
      };
      signal?.addEventListener('abort', leave);
      entry.inbox.push(call);
      entry.waiting++;
      setImmediate(begin, page);
    }).finally(() => signal?.removeEventListener('abort', leave));
    try {
      return await fn(signal);
    } finally {
      entry.running--;
      setImmediate(begin, page);
    }
  };

  const compartment = (page: string) => ({
    run: <T>(fn: Work<T>, options: RunOptions = {}) => run(page, fn, options.signal),
    stats: () => ({ running: ledger.get(page)?.running ?? 0, waiting: ledger.get(page)?.waiting ?? 0 }),
  });

  return {
    ...compartment('own'),
    for: (key: string) => compartment(`key ${key}`),
    async drain(): Promise<void> {
      isClosed = true;
      if (ledger.size > 0) await once(news, 'idle');
    },
  };
}
