/** What one call of `drain` came to. */
export interface DrainSeen {
  /** The numbers of the tasks in the order in which they ran. */
  readonly order: number[];
  /** The most that ran in one turn of the event loop. */
  readonly most: number;
  /** How many had run when a timer fired that had been due since the first of them. */
  readonly beforeTimer: number;
  readonly end: string;
}

interface Tools {
  load<Module>(name: string): Promise<Module>;
}

interface DrainModule {
  drain(tasks: readonly (() => void)[]): Promise<void>;
}

/**
 * Lets `drain` run that many tasks; one of them may throw. It is sent to the module's process as text.
 *
 * A turn ends at each immediate of ours, and where a callback of the loop is called that was asked for after the
 * last task. Immediates alone would not do: what `drain` asks for at the end of ten tasks may be due before ours comes, since a
 * timer of 1 ms is due where the clock's millisecond goes over, and Node then calls it in the same pass.
 */
export async function observeDrain(
  kata: DrainModule,
  { count, throwsAt }: { readonly count: number; readonly throwsAt?: number },
  _kept: unknown,
  { load }: Tools,
): Promise<DrainSeen> {
  const { createHook } = await load<typeof import('node:async_hooks')>('node:async_hooks');
  const order: number[] = [];
  let sinceTurn = 0;
  let most = 0;
  let beforeTimer = count;
  let isOver = false;
  const tasks = Array.from({ length: count }, (_, number) => () => {
    order.push(number);
    most = Math.max(most, ++sinceTurn);
    // Whichever task comes first: a module that takes them in another order breaks another promise.
    if (order.length === 1) hold(5);
    if (number === throwsAt) throw Object.assign(new Error('of a task'), { code: 'OF_A_TASK' });
  });

  /** How many tasks had run when each callback of the loop was asked for. */
  const askedAt = new Map<number, number>();
  const timers = new Set<number>();
  const hook = createHook({
    init(id, type) {
      if (['PROMISE', 'TickObject', 'Microtask'].includes(type)) return;
      askedAt.set(id, order.length);
      if (type === 'Timeout') timers.add(id);
    },
    before(id) {
      if (askedAt.get(id) === order.length) sinceTurn = 0;
    },
    after(id) {
      // An interval has been asked for again.
      if (timers.has(id)) askedAt.set(id, order.length);
    },
  }).enable();

  // First in each check phase, so that whoever yields by an immediate yields to it.
  const turn = () => {
    sinceTurn = 0;
    if (!isOver) setImmediate(turn);
  };
  await new Promise<void>((resolve) => setImmediate(() => (turn(), resolve())));
  setTimeout(() => (beforeTimer = Math.min(beforeTimer, order.length)), 1);
  const end = await kata.drain(tasks).then(
    () => 'resolved',
    (error) => `rejected with ${String(error?.code ?? error?.name)}`.slice(0, 80),
  );
  const atEnd = order.length;
  // Whatever is still to come, comes now.
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
  isOver = true;
  hook.disable();
  return { order, most, beforeTimer, end: order.length === atEnd ? end : `${end}, and then ran others` };

  function hold(ms: number) {
    const began = performance.now();
    while (performance.now() - began < ms);
  }
}
