/*
breaks: [3, 9]
why: The code queues the calls for each id inside the process. Calls from another process are not in that queue.
ask: What happens when you start a second instance of the service?
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);
  const last = new Map<string, Promise<unknown>>();

  function oneAtATime<T>(id: string, work: () => Promise<T>): Promise<T> {
    const result = (last.get(id) ?? Promise.resolve()).then(work, work);
    last.set(id, result);
    return result;
  }

  return {
    increment: (id: string) =>
      oneAtATime(id, async () => {
        const [[row]] = await pool.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
        if (!row) throw new Error(`There is no counter "${id}"`);
        await pool.query('UPDATE counters SET value = ? WHERE id = ?', [row.value + 1, id]);
        return row.value + 1;
      }),
    close: () => pool.end(),
  };
}
