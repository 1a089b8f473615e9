/*
 * One round trip per call.
 *
 * The whole transaction is sent in one packet (multipleStatements), and a user variable of the session carries the new
 * value. There is no pool. Each call has its own connection, which is closed when the call returns, so
 * no other call ever waits for it.
 */
import { createConnection, type Connection, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export interface Counter {
  /** Adds one to the counter and returns its new value. */
  increment(id: string): Promise<number>;
  /** Closes all connections. */
  close(): Promise<void>;
}

const PACKET = [
  'SET @next_value = NULL',
  'START TRANSACTION',
  'SELECT value + 1 INTO @next_value FROM counters WHERE id = ? FOR UPDATE',
  'UPDATE counters SET value = @next_value WHERE id = ?',
  'COMMIT',
  'SELECT CAST(@next_value AS CHAR) AS next_value',
].join('; ');

const LOCK_ERRORS: readonly unknown[] = [1205, 1213];
const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

export function createCounter(options: PoolOptions): Counter {
  const calls = new Set<Promise<number>>();
  let closed = false;

  /** Returns the next value, or null if there is no such row. */
  async function send(connection: Connection, id: string): Promise<number | null> {
    for (;;) {
      if (closed) throw new Error('the counter is closed');
      try {
        const [results] = await connection.query(PACKET, [id, id]);
        const rows = (results as unknown as RowDataPacket[][]).at(-1);
        const text = rows?.[0]?.next_value as string | null | undefined;
        if (text === undefined) throw new Error('the answer has no value');
        return text === null ? null : Number(text);
      } catch (error) {
        // The statements after the failed one did not run, not even COMMIT. The transaction may still be open.
        await connection.query('ROLLBACK').catch(() => connection.destroy());
        if (!LOCK_ERRORS.includes((error as { errno?: unknown }).errno)) throw error;
      }
      await pause(Math.random() * 40);
    }
  }

  async function call(id: string): Promise<number> {
    try {
      const connection = await createConnection({ ...options, multipleStatements: true });
      connection.on('error', () => undefined);
      let next: number | null;
      try {
        next = await send(connection, id);
      } finally {
        await connection.end().catch(() => connection.destroy());
      }
      if (next === null) throw new Error('there is no such counter');
      if (!Number.isSafeInteger(next)) throw new Error('the value is not a safe number');
      return next;
    } catch (error) {
      throw new Error(`Cannot increment counter ${id}: ${(error as Error).message}`, { cause: error });
    }
  }

  return {
    async increment(id) {
      if (closed) throw new Error(`Cannot increment counter ${id}: the counter is closed`);
      const running = call(id);
      calls.add(running);
      try {
        return await running;
      } finally {
        calls.delete(running);
      }
    },

    async close() {
      closed = true;
      await Promise.allSettled(calls);
    },
  };
}
