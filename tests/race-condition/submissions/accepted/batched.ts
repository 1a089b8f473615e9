import { createPool, type Pool, type PoolOptions, type ResultSetHeader } from 'mysql2/promise';

interface Waiter {
  resolve(value: number): void;
  reject(error: unknown): void;
}

/** Collects the calls of a few milliseconds and reserves all their numbers with one statement. */
class BatchedCounter {
  #pool: Pool;
  #waiting = new Map<string, Waiter[]>();

  constructor(options: PoolOptions) {
    this.#pool = createPool(options);
  }

  increment(id: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const batch = this.#waiting.get(id);
      if (batch) {
        batch.push({ resolve, reject });
        return;
      }
      this.#waiting.set(id, [{ resolve, reject }]);
      setTimeout(() => void this.#flush(id), 3);
    });
  }

  async #flush(id: string): Promise<void> {
    const batch = this.#waiting.get(id) ?? [];
    this.#waiting.delete(id);
    try {
      const last = await this.#take(id, batch.length, 6);
      batch.forEach(({ resolve }, index) => resolve(last - batch.length + 1 + index));
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  async #take(id: string, count: number, attempts: number): Promise<number> {
    try {
      const [answer] = await this.#pool.query<ResultSetHeader>(
        'UPDATE counters SET value = LAST_INSERT_ID(value + ?) WHERE id = ?',
        [count, id],
      );
      if (answer.affectedRows !== 1) throw new Error(`Counter "${id}" not found`);
      return answer.insertId;
    } catch (error) {
      if (attempts > 1 && /Deadlock|Lock wait timeout/.test((error as Error).message))
        return this.#take(id, count, attempts - 1);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

export const createCounter = (options: PoolOptions) => new BatchedCounter(options);
