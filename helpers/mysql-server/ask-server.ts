import { setTimeout as pause } from 'node:timers/promises';
import { createConnection } from 'mysql2/promise';
import type { MysqlServer } from './source.ts';

const answerLimitMs = 3_000;

/** For a server that may be slow: how long it is waited for in all, and who is told that it has not answered yet. */
export interface AskOptions {
  readonly limitMs: number;
  onProgress(line: string): void;
}

/**
 * Logs in, asks a server for its version and flavour, and leaves; a refusal comes back in the server's own words. One that
 * says nothing is asked again until patience ends; one that refuses is not.
 */
export async function askServer(
  account: Pick<MysqlServer, 'host' | 'port' | 'user' | 'password'>,
  { limitMs, onProgress }: AskOptions = { limitMs: answerLimitMs, onProgress: () => undefined },
): Promise<Pick<MysqlServer, 'flavour' | 'version'> | { readonly refusal: string }> {
  const { host, port, user, password } = account;
  const endMs = performance.now() + limitMs;
  for (let tryMs = answerLimitMs; ; tryMs *= 2) {
    const leftMs = endMs - performance.now();
    try {
      const connection = await createConnection({
        host,
        port,
        user,
        password,
        connectTimeout: Math.max(1, Math.min(tryMs, leftMs)),
      });
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
      const isLate = (error as NodeJS.ErrnoException).code === 'ETIMEDOUT';
      if (isLate && tryMs < leftMs) {
        onProgress(
          `${host}:${port} has not answered for ${tryMs / 1000} s; waiting for it up to ${Math.round(limitMs / 1000)} s`,
        );
        await pause(100);
        continue;
      }
      return {
        refusal: isLate ? `no answer within ${Math.round(limitMs / 1000)} s` : words(error).replace(/\.$/, ''),
      };
    }
  }
}

function words(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.map(words).join(', ');
  const { message, code } = error as NodeJS.ErrnoException;
  return message || code || 'no reason given';
}
