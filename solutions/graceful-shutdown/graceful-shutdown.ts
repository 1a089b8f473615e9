import type { Server, ServerResponse } from 'node:http';
import { Server as TcpServer } from 'node:net';
import type * as Starter from '../../katas/graceful-shutdown/graceful-shutdown.ts';

/** Shuts the service down when the process gets a signal, or when nobody handles a rejection. */
export function installShutdown(
  server: Server,
  { signals, graceMs, pool, logError, onReadiness, clients = new Set() }: Starter.ShutdownOptions,
): void {
  const inFlight = new Set<ServerResponse>();
  let isShuttingDown = false;
  let isListenerClosed = false;

  // Before the routes: they may send their headers at once.
  server.prependListener('request', (_request, response: ServerResponse) => {
    if (isShuttingDown) response.shouldKeepAlive = false;
    inFlight.add(response);
    response.once('close', () => {
      inFlight.delete(response);
      closeIdleConnections();
    });
  });

  /** Node takes a connection for idle as soon as its route has ended, although its response may still be under way. */
  function closeIdleConnections(): void {
    if (isListenerClosed && inFlight.size === 0) server.closeIdleConnections();
  }

  /** Resolves when the last connection is gone, the upgraded ones included. */
  async function closeListener(): Promise<void> {
    isListenerClosed = true;
    // The close of an HTTP server would close idle connections at once.
    await new Promise((resolve) => TcpServer.prototype.close.call(server, resolve));
  }

  async function shutDown(exitCode: number): Promise<void> {
    isShuttingDown = true;
    setTimeout(() => process.exit(1), graceMs);
    for (const response of inFlight) response.shouldKeepAlive = false;

    await onReadiness?.(false);
    const closed = closeListener();
    for (const client of clients) {
      try {
        client.goAway();
      } catch (error) {
        logError(error);
      }
    }
    closeIdleConnections();
    await closed;
    try {
      await pool.end();
    } catch (error) {
      logError(error);
      exitCode = 1;
    }
    process.exit(exitCode);
  }

  for (const signal of signals) {
    process.on(signal, () => {
      if (isShuttingDown) process.exit(1);
      void shutDown(0);
    });
  }

  process.on('unhandledRejection', (error) => {
    logError(error);
    if (!isShuttingDown) void shutDown(1);
  });
}

({ installShutdown }) satisfies typeof Starter;
