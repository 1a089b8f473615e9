import { type Socket, io as connectTo } from 'socket.io-client';
import { settles } from '../../foundations/waiting/until.ts';

export interface SteppedWaitOptions {
  readonly rounds: number;
  /** How long the judge waits in each round, ms. */
  readonly roundMs: number;
  /** Ends a round: moves the module's clock a little, so that an answer may come from a timer. */
  readonly step: () => Promise<void>;
}

/** Waits for what a module sends. A module that gets no time to run uses none of it up. */
export class SteppedWait {
  readonly #options: SteppedWaitOptions;
  #stepping: Promise<void> | undefined;

  constructor(options: SteppedWaitOptions) {
    this.#options = options;
  }

  /**
   * What the promise resolves to.
   * @throws what `step` throws when the module's process has ended; Error that says `what` when it does not come
   */
  async wait<T>(promise: Promise<T>, what: string): Promise<T> {
    const { rounds, roundMs } = this.#options;
    try {
      for (let round = 0; round < rounds; round++) {
        if (await settles(promise, roundMs)) return await promise;
        await this.#step();
      }
    } catch (error) {
      await this.#step();
      throw error;
    }
    throw new Error(what);
  }

  /** One step for all who wait. */
  #step(): Promise<void> {
    this.#stepping ??= this.#options.step().finally(() => (this.#stepping = undefined));
    return this.#stepping;
  }
}

export interface SocketClientOptions {
  readonly port: number;
  readonly transport: 'polling' | 'websocket';
  readonly patience: SteppedWait;
  readonly auth?: Record<string, unknown>;
}

/** A client of a Socket.IO server on 127.0.0.1. It connects once, on one transport. */
export class SocketClient {
  protected readonly socket: Socket;
  readonly #patience: SteppedWait;
  readonly #lost: Promise<never>;

  constructor({ port, transport, patience, auth }: SocketClientOptions) {
    this.#patience = patience;
    this.socket = connectTo(`http://127.0.0.1:${port}`, {
      transports: [transport],
      forceNew: true,
      reconnection: false,
      ...(auth && { auth }),
    });
    this.#lost = new Promise((_resolve, reject) => {
      this.socket.once('disconnect', () => reject(new Error('a client lost its connection')));
    });
    this.#lost.catch(() => undefined);
  }

  get id(): string {
    return this.socket.id!;
  }

  async connected(): Promise<void> {
    const connection = new Promise<void>((resolve, reject) => {
      this.socket.once('connect', resolve).once('connect_error', reject);
    });
    await this.#patience.wait(connection, 'a client could not connect');
  }

  send(event: string, ...args: unknown[]): void {
    this.socket.emit(event, ...args);
  }

  /** Sends an event and returns the acknowledgment. All that the server sent to this client before has then been heard. */
  async ask<T>(event: string, ...args: unknown[]): Promise<T> {
    const answer = this.socket.emitWithAck(event, ...args) as Promise<T>;
    return await this.#patience.wait(
      Promise.race([answer, this.#lost]),
      `a client sent ${event} and got no acknowledgment`,
    );
  }

  /** Says goodbye. */
  disconnect(): void {
    this.socket.disconnect();
  }
}
