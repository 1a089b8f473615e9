import { type Connection, type PoolOptions, type RowDataPacket, createPool } from 'mysql2/promise';
import { setTimeout as pause } from 'node:timers/promises';
import type { Order, OrderSummary, Orders, Page } from '../../../../katas/slow-query/slow-query.ts';

/** Indexes in the order of reading, named in the statements; ids in a temporary table; reads in transactions. */
export function createOrders(options: PoolOptions): Orders {
  const pool = createPool({ ...options, timezone: '+00:00', namedPlaceholders: true, supportBigNumbers: true });

  async function reading<Result>(work: (connection: Connection) => Promise<Result>): Promise<Result> {
    const connection = await pool.getConnection();
    try {
      await connection.query('START TRANSACTION WITH CONSISTENT SNAPSHOT');
      return await work(connection);
    } finally {
      await connection.query('COMMIT');
      connection.release();
    }
  }

  async function indexExists(name: string): Promise<boolean> {
    const [rows] = await pool.query<RowDataPacket[]>(
      "SELECT 1 FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'orders' AND index_name = :name",
      { name },
    );
    return rows.length > 0;
  }

  async function addIndex(name: string, columns: string): Promise<void> {
    for (let attempt = 1; !(await indexExists(name)); attempt++)
      try {
        await pool.query(`ALTER TABLE orders ADD INDEX ${name} (${columns}), ALGORITHM = INPLACE, LOCK = NONE`);
      } catch (error) {
        if (attempt === 5) throw error;
        await pause(attempt);
      }
  }

  return {
    latest: (customerId, limit) =>
      reading(async (connection) => {
        const [rows] = await connection.query<RowDataPacket[]>(
          `SELECT id, created_at AS createdAt, cents FROM orders FORCE INDEX (by_customer)
           WHERE customer_id = :customerId ORDER BY created_at DESC, id DESC LIMIT :limit`,
          { customerId, limit },
        );
        return rows as OrderSummary[];
      }),

    page: (after, limit) =>
      reading(async (connection): Promise<Page> => {
        const { time, id: lastId } = JSON.parse(after ?? '{"time":"9999-12-31","id":0}') as {
          time: string;
          id: number;
        };
        const [rows] = await connection.query<RowDataPacket[]>(
          `SELECT id, customer_id AS customerId, created_at AS createdAt, cents, note, DATE_FORMAT(created_at, '%Y-%m-%d %H:%i:%s.%f') AS time
           FROM orders FORCE INDEX (by_time)
           WHERE created_at <= :time AND (created_at < :time OR (created_at = :time AND id < :lastId)) ORDER BY created_at DESC, id DESC LIMIT :limit`,
          { time, lastId, limit },
        );
        const last = rows.at(-1);
        return {
          orders: rows.map(({ id, customerId, createdAt, cents, note }): Order => ({
            id,
            customerId,
            createdAt,
            cents,
            note,
          })),
          next: last === undefined ? undefined : JSON.stringify({ time: last.time, id: last.id }),
        };
      }),

    totals: async (customerIds, year) => {
      const ids = [...new Set(customerIds)];
      const totals = new Map(ids.map((id) => [id, 0n]));
      if (ids.length > 0)
        await reading(async (connection) => {
          await connection.query('CREATE TEMPORARY TABLE asked_for (id INT UNSIGNED PRIMARY KEY)');
          await connection.query('INSERT INTO asked_for VALUES ?', [ids.map((id) => [id])]);
          const [asked] = await connection.query<RowDataPacket[]>('SELECT id FROM asked_for ORDER BY id');
          const [rows] = await connection.query<RowDataPacket[]>(
            `SELECT customer_id, cents FROM orders FORCE INDEX (by_customer)
             WHERE customer_id IN (${asked.map(({ id }) => id).join()}) AND created_at >= MAKEDATE(:year, 1) AND created_at < MAKEDATE(:year + 1, 1)`,
            { year },
          );
          await connection.query('DROP TEMPORARY TABLE asked_for');
          for (const { customer_id, cents } of rows)
            totals.set(customer_id, totals.get(customer_id)! + BigInt(cents as number));
        });
      return new Map([...totals].map(([id, total]) => [id, Number(total)]));
    },

    async migrate() {
      await addIndex('by_customer', 'customer_id, created_at DESC, id DESC, cents');
      await addIndex('by_time', 'created_at DESC, id DESC');
    },

    close: () => pool.end(),
  };
}
