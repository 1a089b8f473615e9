import { afterAll, inject } from 'vitest';
import '../../mysql-server/global-setup.ts';
import { holdServer } from '../../mysql-server/hold-server.ts';
import { TestDatabase } from './test-database.ts';

let hold: Promise<AsyncDisposable> | undefined;

/**
 * Gives the test file a database of its own, with the kata's tables, on this run's server; dropped after the file. From
 * the first one to the end of the file no other judge uses that server.
 */
export async function useTestDatabase(slug: string): Promise<TestDatabase> {
  const servers = inject('mysqlServers');
  const worker = Number(process.env.VITEST_POOL_ID ?? 1);
  const server = servers[(worker - 1) % servers.length]!;
  if (!hold) {
    hold = holdServer(server);
    afterAll(async () => (await hold)?.[Symbol.asyncDispose]());
  }
  await hold;
  const database = await TestDatabase.create(server, slug);
  afterAll(() => database[Symbol.asyncDispose]());
  return database;
}
