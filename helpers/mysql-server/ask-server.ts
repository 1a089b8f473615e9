import { createConnection } from 'mysql2/promise';
import type { MysqlServer } from './source.ts';

const answerLimitMs = 3_000;

/** Logs in, asks a server for its version and flavour, and leaves; a refusal comes back in the server's own words. */
export async function askServer(
  account: Pick<MysqlServer, 'host' | 'port' | 'user' | 'password'>,
): Promise<Pick<MysqlServer, 'flavour' | 'version'> | { readonly refusal: string }> {
  const { host, port, user, password } = account;
  try {
    const connection = await createConnection({ host, port, user, password, connectTimeout: answerLimitMs });
    try {
      const [rows] = await connection.query('SELECT VERSION() AS version');
      const told = String((rows as { version: unknown }[])[0]?.version);
      return {
        flavour: /mariadb/i.test(told) ? 'mariadb' : 'mysql',
        version: /^\d+\.\d+\.\d+/.exec(told.replace(/^5\.5\.5-/, ''))?.[0] ?? told,
      };
    } finally {
      connection.destroy();
    }
  } catch (error) {
    return { refusal: words(error).replace(/\.$/, '') };
  }
}

function words(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.map(words).join(', ');
  const { message, code } = error as NodeJS.ErrnoException;
  return message || code || 'no reason given';
}
