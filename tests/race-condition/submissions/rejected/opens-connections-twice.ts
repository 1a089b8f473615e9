/*
breaks: [6]
why: The code checks the map, awaits a new connection, and then writes it into the map. Concurrent first calls each open a connection, and close() closes only the last one.
ask: Four first calls arrive at once. What does the map contain after each await?
*/
import { type Connection, createConnection, type PoolOptions, type ResultSetHeader } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const { host, port, user, password, database } = options as Required<PoolOptions>;
  const connections = new Map<string, Connection>();

  async function connectionOf(id: string): Promise<Connection> {
    const known = connections.get(id);
    if (known) return known;
    const opened = await createConnection({ host, port, user, password, database });
    opened.on('error', () => connections.delete(id));
    connections.set(id, opened);
    return opened;
  }

  async function increment(id: string): Promise<number> {
    const connection = await connectionOf(id);
    try {
      const [result] = await connection.query<ResultSetHeader>(
        'UPDATE counters SET value = LAST_INSERT_ID(value + 1) WHERE id = ?',
        [id],
      );
      if (result.affectedRows === 0) throw new Error(`There is no counter "${id}"`);
      return result.insertId;
    } catch (error) {
      const { errno, fatal } = error as { errno?: number; fatal?: boolean };
      if (fatal) connections.delete(id);
      if (errno === 1205 || errno === 1213) return increment(id);
      throw error;
    }
  }

  return {
    increment,
    async close() {
      for (const connection of connections.values()) await connection.end();
    },
  };
}
