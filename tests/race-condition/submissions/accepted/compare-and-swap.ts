import { createPool, type Pool, type PoolOptions, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise';

class ConflictError extends Error {}

/** Optimistic locking: writes only if the row is unchanged since it was read, and otherwise reads again. */
class OptimisticCounter {
  constructor(private readonly pool: Pool) {}

  async increment(id: string): Promise<number> {
    for (let attempt = 0; attempt < 5; attempt++) {
      try {
        return await this.tryIncrement(id);
      } catch (error) {
        if (!(error instanceof ConflictError) && !isContention(error)) throw error;
      }
    }
    throw new Error(`Too much contention on counter ${id}`);
  }

  private async tryIncrement(id: string): Promise<number> {
    const [rows] = await this.pool.execute<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
    if (rows.length === 0) throw new Error(`Counter ${id} does not exist`);
    const seen = rows[0]!.value as number;
    const [{ affectedRows }] = await this.pool.execute<ResultSetHeader>(
      'UPDATE counters SET value = ? WHERE id = ? AND value = ?',
      [seen + 1, id, seen],
    );
    if (affectedRows === 0) throw new ConflictError();
    return seen + 1;
  }

  async close(): Promise<void> {
    await this.pool.end();
  }
}

function isContention(error: unknown): boolean {
  const errno = (error as { errno?: number }).errno;
  return errno === 1205 || errno === 1213;
}

export const createCounter = (options: PoolOptions) => new OptimisticCounter(createPool(options));
