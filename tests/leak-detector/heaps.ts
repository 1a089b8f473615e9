/** What a monitor is shown, and what is known about it. Sizes in bytes. */
export interface Heap {
  /** In plain words. */
  readonly about: string;
  readonly windowSize: number;
  readonly intervalMs: number;
  readonly values: readonly number[];
  /** How many samples come before each leak. */
  readonly leaksFrom: readonly number[];
  readonly bytesPerHour: number;
}

/** Draws the same numbers for the same seed. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 to 1, without 1. Mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  between(low: number, high: number): number {
    return low + (high - low) * this.next();
  }

  /** Each order of magnitude is as likely as the others. */
  magnitude(low: number, high: number): number {
    return low * (high / low) ** this.next();
  }

  /** Both ends included. */
  whole(low: number, high: number): number {
    return Math.floor(this.between(low, high + 1));
  }

  of<Item>(items: readonly Item[]): Item {
    return items[this.whole(0, items.length - 1)]!;
  }

  shuffled<Item>(items: readonly Item[]): Item[] {
    return items
      .map((item) => ({ item, at: this.next() }))
      .sort((one, other) => one.at - other.at)
      .map(({ item }) => item);
  }
}

/** What noise and garbage collections add to the floor: functions that return the next share of the swing. */
const movements = {
  'no noise': () => () => 0,
  'even noise': (dice: Dice) => () => dice.next(),
  'bell-shaped noise': (dice: Dice) => () => (dice.next() + dice.next() + dice.next()) / 3,
  'a regular saw': (dice: Dice, longest: number) => {
    const length = dice.whole(2, longest);
    return saw(dice, () => length);
  },
  'an irregular saw': (dice: Dice, longest: number) => saw(dice, () => dice.whole(2, longest)),
};
type Movement = keyof typeof movements;
const allMovements = Object.keys(movements) as Movement[];
const saws: readonly Movement[] = ['a regular saw', 'an irregular saw'];

function saw(dice: Dice, toothLength: () => number): () => number {
  let length = toothLength();
  let at = dice.whole(0, length - 1);
  return () => {
    if (at === length) [length, at] = [toothLength(), 0];
    return (at++ + dice.next()) / length;
  };
}

export const shapes = [
  'flat',
  'saw',
  'fall',
  'step',
  'leak',
  'long leak',
  'very long leak',
  'late leak',
  'leak after a step',
  'leak with pauses',
  'two leaks',
  'four leaks',
] as const;
export type Shape = (typeof shapes)[number];

/** How much a leak grows in a window, in swings. The README promises 8. */
const leakSwings = { least: 8, most: 20 };

/** A heap of this shape. The README says what shapes there are, and what counts as a swing. */
export function drawHeap(shape: Shape, seed: number, { spikes = false } = {}): Heap {
  const dice = new Dice(seed);
  const windowSize = dice.whole(24, 36);
  const intervalMs = dice.of([1_000, 5_000, 15_000, 60_000]);
  const [sixth, base] = [Math.floor(windowSize / 6), dice.magnitude(2e7, 1e9)];
  const movement = dice.of(shape === 'saw' ? saws : allMovements);
  const isStill = movement === 'no noise';
  const isCalm = shape === 'flat' || shape === 'saw' || shape === 'fall';
  const swing = isStill ? 0 : base * (isCalm ? dice.magnitude(0.005, 0.6) : dice.magnitude(0.002, 0.01));
  const growth = isStill ? base * dice.magnitude(0.005, 0.1) : swing * dice.between(leakSwings.least, leakSwings.most);

  const changes: number[] = [];
  const leaksFrom: number[] = [];
  const flat = (windows: number) => changes.push(...repeat(0, windows * windowSize));
  const grown: number[] = [];
  const goOn = (windows: number, perWindow = growth) =>
    changes.push(...repeat(perWindow / windowSize, windows * windowSize));
  const leak = (windows: number, perWindow = growth) => {
    leaksFrom.push(changes.length);
    grown.push(perWindow);
    goOn(windows, perWindow);
  };
  const step = () => {
    const height = isStill ? base * dice.magnitude(0.01, 1) : swing * dice.magnitude(1, 60);
    const length = dice.whole(1, sixth);
    changes.push(...repeat(height / length, length));
    flat(3);
  };
  const fall = () => {
    const length = dice.of([1, 4 * windowSize]);
    changes.push(...repeat((-base * dice.between(0.1, 0.5)) / length, length));
  };
  const parts: Record<Shape, () => void> = {
    flat: () => flat(4),
    saw: () => flat(4),
    fall: () => (flat(dice.between(0, 1)), fall(), flat(2)),
    step: () => (flat(dice.between(0, 2)), step()),
    leak: () => leak(3.1),
    'long leak': () => leak(8),
    'very long leak': () => leak(60),
    'late leak': () => (flat(dice.between(0.1, 2)), leak(3.1)),
    'leak after a step': () => (flat(dice.between(0, 1)), step(), leak(3.1)),
    'leak with pauses': () => {
      leak(3);
      for (const windows of [dice.between(0.4, 0.5), 0.5, 0.5, 0.5, 0.5, 0.5]) {
        flat(windows);
        goOn(3);
      }
    },
    'two leaks': () => {
      const [first, next] = dice.shuffled([growth, growth * dice.magnitude(1, 20)]);
      leak(3, first);
      flat(4);
      leak(3.1, next);
    },
    'four leaks': () => {
      for (let number = 1; number <= 4; number++) {
        leak(3.1, growth * dice.magnitude(1, 4));
        if (number < 4) flat(4);
      }
    },
  };
  parts[shape]();

  const move = movements[movement](dice, sixth);
  let [floor, sinceSpike] = [base, sixth];
  const values = changes.map((change) => {
    floor += change;
    const isSpike = spikes && ++sinceSpike > sixth && dice.next() < 0.4;
    if (isSpike) sinceSpike = 0;
    return Math.round(floor + swing * move() + (isSpike ? base * dice.magnitude(0.05, 1) : 0));
  });
  const size = `${inMegabytes(base)}, ${movement}${isStill ? '' : ` of ${inMegabytes(swing)}`}${spikes ? ', with spikes' : ''}`;
  const told = grown.length > 0 ? `, ${grown.map(inMegabytes).join(' and later ')} per window` : '';
  return {
    about: `${shape} (${size}${told}; windowSize ${windowSize})`,
    windowSize,
    intervalMs,
    values,
    leaksFrom,
    bytesPerHour: (growth / windowSize / intervalMs) * 3_600_000,
  };
}

/** So many heaps of each shape; other ones for another seed. */
export function drawHeaps(some: readonly Shape[], count: number, seed: number, options?: { spikes: boolean }): Heap[] {
  const dice = new Dice(seed);
  return Array.from({ length: count }, () =>
    some.map((shape) => drawHeap(shape, dice.whole(0, 2 ** 32 - 1), options)),
  ).flat();
}

/** What is wrong with the alerts of a heap, each told by the number of samples taken before; undefined if nothing is. */
export function faultOf({ windowSize, leaksFrom }: Heap, alerts: readonly number[]): Fault | undefined {
  const due = 3 * windowSize;
  const [first] = alerts;
  if (first !== undefined && first < windowSize)
    return { kind: 'early', text: `an alert after ${first} samples, before a window was full` };
  const [begin = Infinity] = leaksFrom;
  if (first !== undefined && first <= begin)
    return { kind: 'false alarm', text: `an alert after ${first} samples, without a leak` };
  for (const [at, from] of leaksFrom.entries()) {
    const until = leaksFrom[at + 1] ?? Infinity;
    const own = alerts.filter((alert) => alert > from && alert <= until);
    if (own.length === 0) return { kind: 'miss', text: `no alert about the leak that began after ${from} samples` };
    if (own[0]! > from + due)
      return { kind: 'miss', text: `an alert ${own[0]! - from} samples after the leak began; it was due after ${due}` };
    if (own.length > 1)
      return { kind: 'again', text: `${own.length} alerts about one leak, after ${own.join(', ')} samples` };
  }
  return undefined;
}

export interface Fault {
  readonly kind: 'early' | 'false alarm' | 'miss' | 'again';
  readonly text: string;
}

function repeat(value: number, length: number): number[] {
  return Array.from({ length: Math.floor(length) }, () => value);
}

function inMegabytes(bytes: number): string {
  return `${(bytes / 1e6).toPrecision(3)} MB`;
}
