import { afterAll, inject } from 'vitest';
import { type ServerAddress, TestDatabase } from './test-database.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** One server for each worker that may run at a time. */
    mysqlServers: ServerAddress[];
  }
}

/** Gives the test file a database of its own, with the kata's tables, on this run's server; dropped after the file. */
export async function useTestDatabase(slug: string): Promise<TestDatabase> {
  const servers = inject('mysqlServers');
  const worker = Number(process.env.VITEST_POOL_ID ?? 1);
  const database = await TestDatabase.create(servers[(worker - 1) % servers.length]!, slug);
  afterAll(() => database[Symbol.asyncDispose]());
  return database;
}
