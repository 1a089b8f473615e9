import { clearScreenDown, moveCursor } from 'node:readline';
import { type ObservedProcess, figureText } from './observed-process.ts';

const refreshMs = 500;

/** The figures of a process in a terminal, drawn again and again, and keys to do things to it. */
export class LiveView {
  readonly #title: string;
  readonly #watched: ObservedProcess;
  readonly #writeSnapshot: () => Promise<string>;
  #first: Record<string, number> = {};
  #status = '';
  #lines = 0;
  #queue: Promise<void> = Promise.resolve();

  constructor(title: string, watched: ObservedProcess, writeSnapshot: () => Promise<string>) {
    this.#title = title;
    this.#watched = watched;
    this.#writeSnapshot = writeSnapshot;
  }

  /** Comes back when the person quits. */
  async run(): Promise<void> {
    const { promise: quit, resolve: leave } = Promise.withResolvers<void>();
    const { stdin } = process;
    const onKeys = (keys: Buffer) => {
      for (const key of keys.toString()) {
        if (key === 'q' || key === '\u0003' || key === '\u0004') leave();
        else this.#press(key);
      }
    };
    stdin.setRawMode(true);
    stdin.on('data', onKeys);
    await this.#setOut();
    const timer = setInterval(() => this.#then(async () => undefined), refreshMs);
    try {
      await quit;
    } finally {
      clearInterval(timer);
      stdin.off('data', onKeys);
      stdin.setRawMode(false);
      stdin.pause();
      await this.#queue;
    }
  }

  #press(key: string): void {
    if (key === 'g') this.#do('garbage collection', () => this.#watched.figures({ afterCollection: true }));
    else if (key === 'w') this.#do('heap snapshot', this.#writeSnapshot);
    else if (key === 'r') this.#do('a new process', () => this.#watched.reset().then(() => this.#setOut()));
    else {
      const action = this.#watched.action(key);
      if (action) this.#do(action.label, () => action.run());
    }
  }

  /** One thing after the other, and a new picture after each. */
  #do(label: string, run: () => Promise<unknown>): void {
    this.#then(async () => {
      this.#status = `${label} …`;
      const told = await run();
      this.#status = typeof told === 'string' ? told : `${label}: done`;
    });
  }

  #then(run: () => Promise<void>): void {
    this.#queue = this.#queue.then(run).catch((error: unknown) => {
      this.#status = `${error instanceof Error ? error.message : String(error)} r starts a new process.`;
    });
    this.#queue = this.#queue.then(() => this.#draw()).catch(() => undefined);
  }

  async #setOut(): Promise<void> {
    this.#first = await this.#watched.figures({ afterCollection: true });
    await this.#draw();
  }

  async #draw(): Promise<void> {
    const figures = this.#watched.subject.alive ? await this.#watched.figures() : {};
    const rows = Object.entries(figures).map(([name, value]) => {
      const change = value - (this.#first[name] ?? 0);
      return `${name.padEnd(12)}${figureText(name, value).padStart(12)}${`${change < 0 ? '' : '+'}${figureText(name, change)}`.padStart(14)}`;
    });
    const keys = [
      ...this.#watched.observed.actions.map(({ key, label }) => `${key} ${label}`),
      'g collect garbage',
      'w write a heap snapshot',
      'r start anew',
      'q quit',
    ];
    const text = [
      this.#title,
      ...this.#watched.debugger.split('\n').filter(Boolean),
      '',
      `${''.padEnd(12)}${'now'.padStart(12)}${'since start'.padStart(14)}`,
      ...rows,
      '',
      ...columnsOf(keys),
      '',
      this.#status,
    ].map((line) => line.slice(0, Math.max(20, (process.stdout.columns || 80) - 1)));
    moveCursor(process.stdout, 0, -this.#lines);
    clearScreenDown(process.stdout);
    process.stdout.write(`${text.join('\n')}\n`);
    this.#lines = text.length;
  }
}

function columnsOf(keys: readonly string[]): string[] {
  const half = Math.ceil(keys.length / 2);
  return Array.from({ length: half }, (_, row) => `${keys[row]!.padEnd(38)}${keys[row + half] ?? ''}`);
}
