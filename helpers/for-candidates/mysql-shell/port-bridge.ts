import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { UserError } from '../../foundations/command-line/user-error.ts';

/** A port of the loopback that leads to a server elsewhere. Taken before the server is there, so that a port in use costs nothing. */
export class PortBridge implements AsyncDisposable {
  readonly #listener: Server;
  readonly #sockets = new Set<Socket>();
  readonly #target = Promise.withResolvers<{ readonly host: string; readonly port: number }>();

  private constructor(listener: Server) {
    this.#listener = listener;
  }

  /**
   * Takes the port; who connects waits until `leadTo` is called.
   * @throws UserError when the port cannot be had
   */
  static async listen(port: number): Promise<PortBridge> {
    const listener = createServer({ noDelay: true, pauseOnConnect: true });
    const bridge = new PortBridge(listener);
    listener.on('connection', (client) => void bridge.#accept(client));
    await new Promise<void>((resolve, reject) => {
      listener.once('error', (error: NodeJS.ErrnoException) => reject(new UserError(refusal(port, error))));
      listener.listen(port, '127.0.0.1', resolve);
    });
    return bridge;
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  leadTo(target: { readonly host: string; readonly port: number }): void {
    this.#target.resolve({ host: target.host, port: target.port });
  }

  /** Ends all connections and gives the port back. Never throws. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#listener.close(() => resolve()));
  }

  async #accept(client: Socket): Promise<void> {
    this.#keep(client);
    const server = connect({ ...(await this.#target.promise), noDelay: true });
    this.#keep(server);
    const gone = () => {
      client.destroy();
      server.destroy();
    };
    client.on('close', gone);
    server.on('close', gone);
    client.pipe(server);
    server.pipe(client);
    if (client.destroyed) gone();
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
  }
}

function refusal(port: number, { code, message }: NodeJS.ErrnoException): string {
  if (code === 'EADDRINUSE') return `Port ${port} is in use: choose another one, or leave --port out.`;
  if (code === 'EACCES') return `Port ${port} is not for this user: choose one above 1023, or leave --port out.`;
  return `Port ${port} cannot be opened (${message}): choose another one, or leave --port out.`;
}
