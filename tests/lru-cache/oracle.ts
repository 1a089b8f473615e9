import type { Play, Seen, Step, Walk } from './inside.ts';

interface Entry {
  readonly key: string;
  readonly id: number;
  readonly bytes: number;
  readonly setAt: number;
}

/** A cache that is right and slow: an array, from the least to the most recently used entry. */
class Oracle {
  readonly disposed: string[] = [];
  readonly #options: Omit<Play, 'steps'>;
  #entries: Entry[] = [];
  #nowMs: number;

  constructor(options: Omit<Play, 'steps'>) {
    this.#options = options;
    this.#nowMs = options.startMs;
  }

  /** All entries, such as `a#3`, from the most to the least recently used. */
  get entries(): string[] {
    return this.#entries
      .filter((entry) => !this.#isExpired(entry))
      .map(nameOf)
      .reverse();
  }

  take(step: Step): string {
    switch (step[0]) {
      case 'get':
        return this.#get(step[1]);
      case 'peek':
        return String(this.#find(step[1])?.id ?? 'nothing');
      case 'has':
        return String(this.#find(step[1]) !== undefined);
      case 'delete': {
        const entry = this.#find(step[1]);
        this.#leave((one) => one === entry);
        return String(entry !== undefined);
      }
      case 'set':
        return this.#set(step[1], step[2], step[3]);
      case 'set badly':
        return 'throws';
      case 'use': {
        const found = this.#get(step[1]);
        return found === 'nothing' ? `nothing, set: ${this.#set(step[1], step[2], 1)}` : found;
      }
      case 'fetch': {
        const found = this.#get(step[1]);
        if (found !== 'nothing') return found;
        this.#set(step[1], step[2], step[3]);
        return String(step[2]);
      }
      case 'clear':
        this.#leave(() => true);
        return 'done';
      case 'purge':
        this.#leave((entry) => this.#isExpired(entry));
        return 'done';
      case 'wait':
        this.#nowMs += step[1];
        return 'done';
      case 'bytes':
        return String(this.#bytes);
      case 'size':
        return String(this.#entries.length);
      case 'entries':
        return this.entries.join(' ') || 'nothing';
    }
  }

  get #bytes(): number {
    return this.#entries.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #get(key: string): string {
    const entry = this.#find(key);
    if (!entry) return 'nothing';
    this.#entries = [...this.#entries.filter((one) => one !== entry), entry];
    return String(entry.id);
  }

  #set(key: string, id: number, bytes: number): string {
    const { max, maxBytes = Infinity } = this.#options;
    this.#leave((entry) => entry.key === key);
    if (bytes > maxBytes) return 'false';
    this.#entries.push({ key, id, bytes, setAt: this.#nowMs });
    while (this.#entries.length > max || this.#bytes > maxBytes) {
      const [oldest] = this.#entries;
      this.#leave((entry) => entry === oldest);
    }
    return 'true';
  }

  #find(key: string): Entry | undefined {
    return this.#entries.find((entry) => entry.key === key && !this.#isExpired(entry));
  }

  #isExpired({ setAt }: Entry): boolean {
    return this.#nowMs - setAt >= (this.#options.ttlMs ?? Infinity);
  }

  #leave(which: (entry: Entry) => boolean): void {
    this.disposed.push(...this.#entries.filter(which).map(nameOf));
    this.#entries = this.#entries.filter((entry) => !which(entry));
  }
}

/** What should be seen of a play. */
export function expectedOf({ steps, ...options }: Play): Seen {
  const oracle = new Oracle(options);
  return { lines: steps.map((step) => oracle.take(step)), disposed: oracle.disposed };
}

/**
 * What is wrong with what was yielded while the cache changed. Entries that were added meanwhile may be yielded or not; so may those that
 * `set` put in the place of others. What stays must be yielded exactly once.
 */
export function faultOfWalk({ steps, changes, ...options }: Walk, yielded: readonly string[]): string | undefined {
  const oracle = new Oracle(options);
  for (const step of steps) oracle.take(step);
  const atFirst = oracle.entries;
  const staying = new Set(atFirst);
  const had = new Set<string>();
  for (const [at, entry] of yielded.entries()) {
    if (!oracle.entries.includes(entry)) return `entry ${at + 1} was ${entry}, which is not in the cache`;
    if (had.has(entry)) return `${entry} was yielded twice`;
    had.add(entry);
    for (const step of changes[at] ?? []) {
      oracle.take(step);
      const present = new Set(oracle.entries);
      for (const some of [staying, had]) for (const one of some) if (!present.has(one)) some.delete(one);
    }
  }
  const missed = [...staying].find((entry) => !had.has(entry));
  if (missed !== undefined) return `${missed} stayed and was not yielded`;
  const isStill = changes.every((some) => some.length === 0);
  if (isStill && yielded.join() !== atFirst.join()) return `expected the order ${atFirst.join(' ')}`;
  return undefined;
}

function nameOf({ key, id }: Entry): string {
  return `${key}#${id}`;
}
