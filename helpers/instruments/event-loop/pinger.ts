import { Agent, get } from 'node:http';
import { settles } from '../../foundations/waiting/until.ts';

/** Pings an HTTP server over one connection, each after the answer to the one before. */
export class Pinger implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #port: number;
  readonly #path: string;

  constructor(port: number, path = '/ping') {
    this.#port = port;
    this.#path = path;
  }

  /**
   * Sends `count` pings and says how many of them were answered with 200. It gives up at the first that is not, or is
   * not within 5 s.
   */
  async answered(count: number): Promise<number> {
    for (let done = 0; done < count; done++) {
      if (!(await this.#ping())) return done;
    }
    return count;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  async #ping(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<void>();
    let status: number | undefined;
    const request = get({ host: '127.0.0.1', port: this.#port, path: this.#path, agent: this.#agent }, (response) => {
      response.resume();
      response.on('end', () => (status = response.statusCode));
      response.on('close', resolve);
    });
    request.on('error', () => resolve());
    if (!(await settles(promise))) request.destroy();
    return status === 200;
  }
}
