import type { Server } from 'node:http';

/** A WebSocket or an event stream that is open. */
export interface LongLivedClient {
  /** Asks the client to leave. */
  goAway(): void;
}

export interface ShutdownOptions {
  /** The signals that shut the service down. */
  signals: readonly NodeJS.Signals[];
  /** How long a shutdown may take, from its first signal on. */
  graceMs: number;
  /** The database. It keeps the process alive until `end` has settled. */
  pool: { end(): Promise<void> };
  /** Writes an error to the log. */
  logError: (error: unknown) => void;
  /** Tells the load balancer. Resolves when it sends no more requests. */
  onReadiness?: (isReady: false) => void | Promise<void>;
  /** All that are open now. The service adds and removes them. */
  clients?: ReadonlySet<LongLivedClient>;
}

/** Shuts the service down when the process gets a signal. */
export function installShutdown(server: Server, options: ShutdownOptions): void {
  const { signals, pool, logError, onReadiness } = options;

  for (const signal of signals) {
    process.on(signal, () => {
      server.close();
      void onReadiness?.(false);
      void pool.end();
      process.exit(0);
    });
  }

  process.on('unhandledRejection', (error) => {
    logError(error);
    process.exit(1);
  });
}
