import { afterAll, inject } from 'vitest';
import { holdServer } from './hold-server.ts';
import { type ServerAddress, TestDatabase } from './test-database.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Judges that run side by side take them in turn; those that share one wait for each other. */
    mysqlServers: ServerAddress[];
  }
}

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
