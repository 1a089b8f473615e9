import { createPool, type Pool, type PoolOptions, type ResultSetHeader } from 'mysql2/promise';

type Method<This, Args extends unknown[], Result> = (this: This, ...args: Args) => Promise<Result>;

/** A standard decorator that retries the method after a deadlock or a lock wait timeout. */
function retried<This, Args extends unknown[], Result>(
  method: Method<This, Args, Result>,
  _context: ClassMethodDecoratorContext<This, Method<This, Args, Result>>,
): Method<This, Args, Result> {
  return async function (this: This, ...args: Args) {
    for (let triesLeft = 9; ; triesLeft--) {
      try {
        return await method.apply(this, args);
      } catch (error) {
        if (triesLeft === 0 || ![1205, 1213].includes((error as { errno?: number }).errno ?? 0)) throw error;
      }
    }
  };
}

class MysqlCounter {
  readonly #pool: Pool;

  constructor(options: PoolOptions) {
    this.#pool = createPool(options);
  }

  @retried
  async increment(id: string): Promise<number> {
    const [result] = await this.#pool.execute<ResultSetHeader>(
      'UPDATE counters SET value = LAST_INSERT_ID(value + 1) WHERE id = ?',
      [id],
    );
    if (result.affectedRows === 0) throw new Error(`Unknown counter "${id}"`);
    return result.insertId;
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

export const createCounter = (options: PoolOptions) => new MysqlCounter(options);
