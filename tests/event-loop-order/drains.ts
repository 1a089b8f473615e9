/** What one call of `drain` came to. */
export interface DrainSeen {
  /** The numbers of the tasks in the order in which they ran. */
  readonly order: number[];
  /** The most that ran between two turns of the event loop. */
  readonly most: number;
  /** How many had run when a timer fired that had been due since the first of them. */
  readonly beforeTimer: number;
  readonly end: string;
}

interface DrainModule {
  drain(tasks: readonly (() => void)[]): Promise<void>;
}

/** Lets `drain` run that many tasks; one of them may throw. It is sent to the module's process as text. */
export async function observeDrain(
  kata: DrainModule,
  { count, throwsAt }: { readonly count: number; readonly throwsAt?: number },
): Promise<DrainSeen> {
  const order: number[] = [];
  let sinceTurn = 0;
  let most = 0;
  let beforeTimer = count;
  let isOver = false;
  const tasks = Array.from({ length: count }, (_, number) => () => {
    order.push(number);
    most = Math.max(most, ++sinceTurn);
    if (number === 0) hold(5);
    if (number === throwsAt) throw Object.assign(new Error('of a task'), { code: 'OF_A_TASK' });
  });

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
  return { order, most, beforeTimer, end: order.length === atEnd ? end : `${end}, and then ran others` };

  function hold(ms: number) {
    const began = performance.now();
    while (performance.now() - began < ms);
  }
}
