import type { TestProject } from 'vitest/node';
import type { ServerAddress } from '../foundations/server-address.ts';
import { startServer } from './start-server.ts';
import { note } from '../foundations/command-line/terminal.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Judges that run side by side take them in turn; those that share one wait for each other. */
    mysqlServers: ServerAddress[];
  }
}

/** One server for the whole run, when nobody has provided one yet. */
export default async function setUp(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if ((project.getProvidedContext() as { mysqlServers?: unknown }).mysqlServers !== undefined) return undefined;
  const server = await startServer({ onProgress: note });
  const { host, port, user, password } = server;
  project.provide('mysqlServers', [{ host, port, user, password }]);
  return async () => {
    await server[Symbol.asyncDispose]();
  };
}
