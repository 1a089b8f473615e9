import type { AddressInfo } from 'node:net';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import type * as Kata from '../../katas/backpressure/backpressure.ts';

/** What one server has been asked. */
export interface Traffic {
  /** Requests that have arrived. */
  arrived: number;
  /** Requests whose response has neither been sent nor lost its reader. */
  underWay: number;
}

interface Kept {
  traffic?: Record<number, Traffic>;
}

/** Starts a server for this file and counts its requests; returns its port. */
export async function startServer({ kata, args: file, kept }: Inside<typeof Kata, string, Kept>): Promise<number> {
  const server = kata.createFileServer(file);
  // The default of 5 s can pass between two requests on one connection when the machine is busy.
  server.keepAliveTimeout = 3_600_000;
  const traffic: Traffic = { arrived: 0, underWay: 0 };
  server.prependListener('request', (_request, response) => {
    traffic.arrived++;
    traffic.underWay++;
    response.once('close', () => traffic.underWay--);
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  kept.traffic = { ...kept.traffic, [port]: traffic };
  return port;
}

/** What the server at this port has been asked so far. */
export function readTraffic({ args: port, kept }: Inside<typeof Kata, number, Kept>): Traffic {
  return kept.traffic![port]!;
}
