import type { Socket } from 'node:net';

/** A stall: from some moment on the server accepts nothing more from this process. */
export interface Stall {
  /** Resolves when that moment has come. */
  readonly reached: Promise<void>;
  /** Lets the server accept what has arrived since, and everything after it. Does nothing when nothing is stalled. */
  release(): void;
}

/** The stalls of one proxy, over all its connections; the last one counts. */
export class Stalls {
  readonly #clients: () => readonly Socket[];
  #stall: { isDue(): boolean; reach(): void } | undefined;

  constructor(clients: () => readonly Socket[]) {
    this.#clients = clients;
  }

  /** Stalls as soon as `isDue` says so; it is asked after whatever a client sends. */
  startWhen(isDue: () => boolean): Stall {
    const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
    const stall = { isDue, reach };
    this.#stall = stall;
    return {
      reached,
      release: () => {
        if (this.#stall !== stall) return;
        this.#stall = undefined;
        for (const client of this.#clients()) client.resume();
      },
    };
  }

  /** Whether nothing more is taken. */
  get isOn(): boolean {
    return this.#stall?.isDue() ?? false;
  }

  /** Accepts nothing more from any client. */
  standStill(): void {
    for (const client of this.#clients()) client.pause();
    this.#stall?.reach();
  }
}
