import type { Socket } from 'node:net';

/** A stall: after some byte the server accepts nothing more from this process. */
export interface Stall {
  /** Resolves when that many bytes have passed. */
  readonly reached: Promise<void>;
  /** Lets the server accept what has arrived since, and everything after it. Does nothing when nothing is stalled. */
  release(): void;
}

/** The stalls of one proxy, over all its connections; the last one counts. */
export class Stalls {
  readonly #clients: () => readonly Socket[];
  #stall: { readonly atBytes: number; reach(): void } | undefined;

  constructor(clients: () => readonly Socket[]) {
    this.#clients = clients;
  }

  /** Stalls when so many bytes have gone on to the server. */
  startAt(atBytes: number): Stall {
    const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
    const stall = { atBytes, reach };
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

  /** Whether nothing more is taken, with so many bytes gone on. */
  isOn(bytesSent: number): boolean {
    return this.#stall !== undefined && bytesSent >= this.#stall.atBytes;
  }

  /** Accepts nothing more from any client. */
  standStill(): void {
    for (const client of this.#clients()) client.pause();
    this.#stall?.reach();
  }
}
