import type { Socket } from 'node:net';

/** One command of a client, on its way through the proxy. */
export interface Command {
  /** The server's id of the connection it came on. */
  readonly threadId: number;
  readonly sql: string;
  /** The server's error number, once it has answered with an error. */
  readonly errno: number | undefined;
}

/** A command, or its answer, that the proxy keeps to itself for now. */
export interface Hold {
  /** Resolves when the command is held: before the server has it, or with the server's answer, locks and effects in place. */
  readonly reached: Promise<Command>;
  /** Lets the command or the answer through, and everything after it. Does nothing when nothing is held. */
  release(): void;
  /** Ends the connection instead, by a reset if asked. A command that is held before the server has it is then never run. */
  drop(options?: { readonly byReset?: boolean }): void;
}

/** Where a command is held: before the server runs it, or after, with its answer withheld. */
export type HoldPoint = 'before' | 'after';

export interface HoldOrder {
  catches(command: Command): boolean;
  /** `before` keeps the command from the server, `after` its answer from the client, `error` an answer that is an error. */
  on: HoldPoint | 'error';
  held: Holdable | undefined;
  reach(command: Command): void;
}

/** What is held is one connection: its later commands wait as well. */
export interface Holdable {
  readonly client: Socket;
  readonly server: Socket;
  readonly number: number;
  /** What the client does not get for now. */
  readonly withheld: Buffer[];
  /** What the server does not get for now. */
  readonly unsent: Buffer[];
  holding: HoldOrder | undefined;
}

export interface HoldsOptions {
  /** Writes into the timeline what happens to a connection. */
  note(connection: number, what: string): void;
  /** Counts bytes that go on to the server after all. */
  sent(bytes: number): void;
}

/** The holds of one proxy. One order waits at a time; a new one takes the place of one that has caught nothing. */
export class Holds {
  readonly #options: HoldsOptions;
  #order: HoldOrder | undefined;

  constructor(options: HoldsOptions) {
    this.#options = options;
  }

  /** Holds the first command that `catches` takes. */
  start(on: HoldOrder['on'], catches: HoldOrder['catches']): Hold {
    const { promise: reached, resolve: reach } = Promise.withResolvers<Command>();
    const order: HoldOrder = { on, catches, held: undefined, reach };
    this.#order = order;
    return {
      reached,
      release: () => {
        const link = this.#heldBy(order);
        if (!link) return;
        link.holding = undefined;
        this.#options.note(link.number, on === 'before' ? 'goes on to the server' : 'gets its answer');
        for (const chunk of link.unsent.splice(0)) {
          this.#options.sent(chunk.length);
          link.server.write(chunk);
        }
        for (const chunk of link.withheld.splice(0)) link.client.write(chunk);
      },
      drop: ({ byReset = false } = {}) => {
        const link = this.#heldBy(order);
        if (!link) return;
        this.#options.note(link.number, 'loses its connection');
        if (byReset) link.client.resetAndDestroy();
        else link.client.destroy();
        link.server.destroy();
      },
    };
  }

  /** A command is on its way to the server. */
  onCommand(link: Holdable, command: Command): void {
    const order = this.#order;
    if (!order || order.on === 'error' || !order.catches(command)) return;
    this.#catch(link, order);
    if (order.on === 'after') return;
    this.#options.note(link.number, 'is held before the server runs it');
    order.reach(command);
  }

  /** The server's answer to a command is there in full. */
  onAnswer(link: Holdable, command: Command): void {
    const order = this.#order;
    if (order?.on === 'error' && order.catches(command)) this.#catch(link, order);
  }

  /** What is withheld of a connection is an answer in full. */
  onWithheld(link: Holdable, command: Command): void {
    if (!isWithheld(link)) return;
    this.#options.note(link.number, 'its answer is withheld');
    link.holding?.reach(command);
  }

  #catch(link: Holdable, order: HoldOrder): void {
    order.held = link;
    link.holding = order;
    this.#order = undefined;
  }

  /** The connection that an order holds still. The order catches nothing from now on. */
  #heldBy(order: HoldOrder): Holdable | undefined {
    if (this.#order === order) this.#order = undefined;
    return order.held?.holding === order ? order.held : undefined;
  }
}

/** Whether the client of a connection gets nothing for now. */
export function isWithheld({ holding }: Holdable): boolean {
  return holding !== undefined && holding.on !== 'before';
}
