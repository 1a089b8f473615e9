import type { Server, ServerResponse } from 'node:http';
import { Server as NetServer } from 'node:net';

type Client = { goAway(): void };

interface ShutdownOptions {
  readonly signals: readonly NodeJS.Signals[];
  readonly graceMs: number;
  readonly pool: { end(): Promise<void> };
  readonly logError: (error: unknown) => void;
  readonly onReadiness?: (isReady: false) => void | Promise<void>;
  readonly clients?: ReadonlySet<Client>;
}

const everyMs = 40;

/** One loop that looks at what is left, and takes the next step when it can. */
class Shutdown {
  readonly #server: Server;
  readonly #options: ShutdownOptions;
  readonly #responses = new Set<ServerResponse>();
  readonly #told = new Set<Client>();
  #endsAt = Infinity;
  #exitCode = 0;
  #step: 'serve' | 'wait for readiness' | 'drain' | 'end the pool' = 'serve';
  #connections = 0;

  constructor(server: Server, options: ShutdownOptions) {
    this.#server = server;
    this.#options = options;
    const { emit } = server;
    server.emit = (event: string, ...args: unknown[]) => {
      if (event === 'request') this.#track(args[1] as ServerResponse);
      return Reflect.apply(emit, server, [event, ...args]) as boolean;
    };
  }

  get hasBegun() {
    return this.#step !== 'serve';
  }

  begin(exitCode: number) {
    this.#exitCode = exitCode;
    this.#endsAt = performance.now() + this.#options.graceMs;
    this.#step = 'wait for readiness';
    for (const response of this.#responses) response.shouldKeepAlive = false;
    void Promise.resolve(this.#options.onReadiness?.(false)).then(() => {
      NetServer.prototype.close.call(this.#server);
      this.#step = 'drain';
    });
    setInterval(() => this.#look(), everyMs);
  }

  #track(response: ServerResponse) {
    this.#responses.add(response);
    if (this.hasBegun) response.shouldKeepAlive = false;
    response.on('close', () => this.#responses.delete(response));
  }

  #look() {
    if (performance.now() >= this.#endsAt) process.exit(1);
    if (this.#step !== 'drain') return;
    for (const client of this.#options.clients ?? []) this.#tell(client);
    if (this.#responses.size > 0) return;
    this.#server.closeIdleConnections();
    this.#server.getConnections((_error, count) => (this.#connections = count));
    setImmediate(() => {
      if (this.#connections > 0 || this.#step !== 'drain') return;
      this.#step = 'end the pool';
      this.#options.pool.end().then(
        () => process.exit(this.#exitCode),
        (error: unknown) => {
          this.#options.logError(error);
          process.exit(1);
        },
      );
    });
  }

  #tell(client: Client) {
    if (this.#told.has(client)) return;
    this.#told.add(client);
    try {
      client.goAway();
    } catch (error) {
      this.#options.logError(error);
    }
  }
}

export function installShutdown(server: Server, options: ShutdownOptions): void {
  const shutdown = new Shutdown(server, options);
  for (const signal of new Set(options.signals))
    process.on(signal, () => (shutdown.hasBegun ? process.exit(1) : shutdown.begin(0)));
  process.on('unhandledRejection', (error) => {
    options.logError(error);
    if (!shutdown.hasBegun) shutdown.begin(1);
  });
}
