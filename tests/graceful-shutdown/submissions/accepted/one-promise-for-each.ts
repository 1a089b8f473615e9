import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Server, ServerResponse } from 'node:http';
import { Server as TcpServer, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

export interface ShutdownOptions {
  signals: readonly NodeJS.Signals[];
  graceMs: number;
  pool: { end(): Promise<void> };
  logError: (error: unknown) => void;
  onReadiness?: (isReady: false) => void | Promise<void>;
  clients?: ReadonlySet<{ goAway(): void }>;
}

interface Started {
  server: Server;
  socket: Socket;
  response: ServerResponse;
}

/** Everything that must end is a promise in one of two sets. The shutdown awaits them, and races with the grace time. */
export function installShutdown(server: Server, options: ShutdownOptions): void {
  const { signals, graceMs, pool, logError, onReadiness, clients } = options;
  const responses = new Map<ServerResponse, Promise<unknown>>();
  const sockets = new Map<Socket, Promise<unknown>>();
  const busy = new Map<Socket, number>();
  let begun: Promise<unknown> | undefined;

  const keep = <Key>(map: Map<Key, Promise<unknown>>, key: Key, ended: Promise<unknown>) => {
    map.set(
      key,
      ended.finally(() => map.delete(key)),
    );
  };

  server.on('connection', (socket: Socket) =>
    keep(
      sockets,
      socket,
      once(socket, 'close').catch(() => undefined),
    ),
  );
  server.on('upgrade', (_request, socket) => void busy.set(socket as Socket, Infinity));
  subscribe('http.server.request.start', (message) => {
    const { server: of, socket, response } = message as Started;
    if (of !== server) return;
    if (begun) response.setHeader('connection', 'close');
    busy.set(socket, (busy.get(socket) ?? 0) + 1);
    const over = new Promise<void>((resolve) => response.once('close', resolve));
    keep(
      responses,
      response,
      over.then(() => busy.set(socket, busy.get(socket)! - 1)),
    );
  });

  async function drain(): Promise<void> {
    for (const response of responses.keys()) if (!response.headersSent) response.setHeader('connection', 'close');
    await onReadiness?.(false);
    TcpServer.prototype.close.call(server);
    for (const client of clients ?? []) {
      try {
        client.goAway();
      } catch (error) {
        logError(error);
      }
    }
    while (responses.size > 0) await Promise.all(responses.values());
    for (const socket of sockets.keys()) if (!busy.get(socket)) socket.destroy();
    // Requests of connections that were idle may have come meanwhile, and upgraded ones take their time.
    const [gone] = await Promise.allSettled([pool.end(), Promise.all(sockets.values())]);
    if (gone.status === 'rejected') throw gone.reason;
  }

  const shutDown = async (code: number) => {
    const late = wait(graceMs, 1, { ref: false });
    const drained = drain().then(
      () => code,
      (error: unknown) => (logError(error), 1),
    );
    process.exit(await Promise.race([drained, late]));
  };

  const onSignal = () => {
    if (begun) process.exit(1);
    begun = shutDown(0);
  };
  for (const signal of signals) process.on(signal, onSignal);

  process.on('uncaughtException', (error, origin) => {
    logError(error);
    if (origin === 'uncaughtException') process.exit(1);
    begun ??= shutDown(1);
  });
}
