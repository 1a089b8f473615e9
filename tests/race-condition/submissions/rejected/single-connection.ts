/*
breaks: [7, 8]
why: One connection serves all calls for the life of the process. Every call waits for the calls before it, and once the connection is lost, all calls fail.
ask: The database restarts at night. What does this service do in the morning?
*/
import { type Connection, createConnection, type PoolOptions, type ResultSetHeader } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const { host, port, user, password, database } = options as Required<PoolOptions>;
  let connection: Promise<Connection> | undefined;

  async function increment(id: string): Promise<number> {
    connection ??= createConnection({ host, port, user, password, database }).then((opened) => {
      opened.on('error', () => undefined);
      return opened;
    });
    try {
      const [result] = await (
        await connection
      ).query<ResultSetHeader>('UPDATE counters SET value = LAST_INSERT_ID(value + 1) WHERE id = ?', [id]);
      if (result.affectedRows === 0) throw new Error(`There is no counter "${id}"`);
      return result.insertId;
    } catch (error) {
      const { errno } = error as { errno?: number };
      if (errno === 1205 || errno === 1213) return increment(id);
      throw error;
    }
  }

  return { increment, close: async () => (await connection)?.end() };
}
