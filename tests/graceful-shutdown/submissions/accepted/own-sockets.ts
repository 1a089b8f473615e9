import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

interface Options {
  signals: readonly NodeJS.Signals[];
  graceMs: number;
  pool: { end(): Promise<void> };
  logError: (error: unknown) => void;
  onReadiness?: (isReady: false) => void | Promise<void>;
  clients?: ReadonlySet<{ goAway(): void }>;
}

/** Counts the requests of each socket itself, and lets the process end when nothing is left. */
export function installShutdown(server: Server, options: Options): void {
  const requestsOf = new Map<Socket, number>();
  const upgraded = new WeakSet<Socket>();
  let state: 'open' | 'leaving' | 'closed' = 'open';

  server.on('connection', (socket) => {
    requestsOf.set(socket, 0);
    socket.once('close', () => requestsOf.delete(socket));
  });
  server.prependListener('upgrade', (_request, socket) => void upgraded.add(socket as Socket));
  server.prependListener('request', ({ socket }, response) => {
    requestsOf.set(socket, (requestsOf.get(socket) ?? 0) + 1);
    if (state !== 'open') response.setHeader('Connection', 'close');
    const unsent = response as ServerResponse;
    open.add(unsent);
    response.on('close', () => {
      open.delete(unsent);
      if (!requestsOf.has(socket)) return;
      requestsOf.set(socket, requestsOf.get(socket)! - 1);
      if (state === 'closed') destroyIfIdle(socket);
    });
  });
  const open = new Set<ServerResponse>();

  function destroyIfIdle(socket: Socket) {
    if (requestsOf.get(socket) === 0 && !upgraded.has(socket)) socket.destroy();
  }

  // Node's own idea of an idle connection is not ours.
  server.closeIdleConnections = () => {
    for (const socket of requestsOf.keys()) destroyIfIdle(socket);
  };

  async function leave(code: number) {
    state = 'leaving';
    process.exitCode = code;
    setTimeout(() => process.exit(1), options.graceMs).unref();
    for (const response of open) if (!response.headersSent) response.setHeader('Connection', 'close');
    if (options.onReadiness) await options.onReadiness(false);
    state = 'closed';
    server.close(() => {
      options.pool.end().catch((error: unknown) => {
        options.logError(error);
        process.exitCode = 1;
      });
    });
    options.clients?.forEach((client) => {
      try {
        client.goAway();
      } catch {
        // It has gone already.
      }
    });
  }

  for (const signal of options.signals)
    process.on(signal, () => {
      if (state === 'open') void leave(0);
      else process.exit(1);
    });
  process.on('unhandledRejection', (reason) => {
    options.logError(reason);
    if (state === 'open') void leave(1);
  });
}
