import { inject } from 'vitest';
import '../../mysql-server/global-setup.ts';
import { holdServer } from '../../mysql-server/hold-server.ts';
import { TestDatabase } from './test-database.ts';

/**
 * Gives the test file a database of its own, with the kata's tables, on this run's server. Until the end of the file no
 * other judge uses that server, so a file asks once. `onCleanup` takes what is to happen at the end of the file: the database is
 * dropped, and the file as a whole fails when the server has gone away by then.
 */
export async function useTestDatabase(
  slug: string,
  onCleanup: (clean: () => Promise<void>) => void,
): Promise<TestDatabase> {
  const servers = inject('mysqlServers');
  const worker = Number(process.env.VITEST_POOL_ID ?? 1);
  const server = servers[(worker - 1) % servers.length]!;
  const held = await holdServer(server);
  let database: TestDatabase | undefined;
  onCleanup(async () => {
    const { isLost } = held;
    await database?.[Symbol.asyncDispose]();
    await held[Symbol.asyncDispose]();
    if (isLost)
      throw new Error(
        `The MySQL on ${server.host}:${server.port} went away while it was in use, so nothing was judged. See why it ended, and run this again.`,
      );
  });
  return (database = await TestDatabase.create(server, slug));
}
