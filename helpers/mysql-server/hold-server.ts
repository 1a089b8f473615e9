import { type RowDataPacket, createConnection } from 'mysql2/promise';
import type { ServerAddress } from '../foundations/server-address.ts';
import { applySettings } from './server-settings.ts';

const lockName = 'backend-katas judge';

/** A server that is kept for one judge. */
export interface HeldServer extends AsyncDisposable {
  /** Whether it has gone away since: what a module did after that tells nothing of the module. */
  readonly isLost: boolean;
}

/**
 * Waits until nobody else judges on this server, and keeps it until disposed: what a server counts, and shows of its
 * locks, it does for all who are there. A run that is killed gives it back, for its session ends with it.
 * @param patienceS how many seconds to wait for another judge, 600 unless told
 * @throws Error when another judge has it for longer
 */
export async function holdServer({ host, port, user, password }: ServerAddress, patienceS = 600): Promise<HeldServer> {
  const session = await createConnection({ host, port, user, password, connectTimeout: 60_000 });
  let isLost = false;
  session.on('error', () => (isLost = true));
  // It is to live through waits of minutes, whatever the server's own limits say.
  await applySettings(session);
  const [[answer]] = await session.query<RowDataPacket[]>('SELECT GET_LOCK(?, ?) AS held', [lockName, patienceS]);
  if (Number(answer!.held) !== 1) {
    session.destroy();
    throw new Error(
      `Another judge has had the MySQL on ${host}:${port} for ${patienceS} seconds; wait for its end, or give this run a server of its own.`,
    );
  }
  return {
    get isLost() {
      return isLost;
    },
    async [Symbol.asyncDispose]() {
      await session.end().catch(() => session.destroy());
    },
  };
}
