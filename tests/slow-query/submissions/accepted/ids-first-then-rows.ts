import { type PoolOptions, type RowDataPacket, createPool } from 'mysql2/promise';
import type { Order, Orders } from '../../../../katas/slow-query/slow-query.ts';

/** Pages find ids in an index and then look up the rows. One ALTER TABLE adds all indexes or none, once. Sums are added here. */
export function createOrders(options: PoolOptions): Orders {
  const pool = createPool({ ...options, dateStrings: true });
  const select = async (sql: string, ...values: unknown[]) => (await pool.query<RowDataPacket[]>(sql, values))[0];
  const toDate = (text: string) => new Date(`${text.slice(0, 23).replace(' ', 'T')}Z`);
  const hasError = (error: unknown, errno: number) =>
    error instanceof Error && 'errno' in error && error.errno === errno;

  let migration: Promise<void> | undefined;

  async function addIndexes(): Promise<void> {
    try {
      await pool.query(
        'ALTER TABLE orders ADD INDEX page_order (created_at, id), ADD INDEX customer_order (customer_id, created_at, id, cents)',
      );
    } catch (error) {
      if (hasError(error, 1061)) return;
      migration = undefined;
      throw error;
    }
  }

  return Object.freeze<Orders>({
    latest: async (customerId, limit) => {
      const rows = await select(
        'SELECT id, created_at, cents FROM orders WHERE customer_id = ? ORDER BY created_at DESC, id DESC LIMIT ?',
        customerId,
        limit,
      );
      return rows.map(({ id, created_at, cents }) => ({ id, createdAt: toDate(created_at), cents }));
    },

    page: async (after, limit) => {
      const ids = 'SELECT id FROM orders';
      const order = 'ORDER BY created_at DESC, id DESC LIMIT ?';
      let keys = `${ids} ${order}`;
      let values: unknown[] = [limit];
      if (after !== undefined) {
        const time = after.slice(0, 26);
        const id = Number(after.slice(26));
        keys = `SELECT id FROM (
          (SELECT id, created_at FROM orders WHERE created_at = ? AND id < ? ${order}) UNION ALL
          (SELECT id, created_at FROM orders WHERE created_at < ? ${order})
        ) AS both_parts ${order}`;
        values = [time, id, limit, time, limit, limit];
      }
      const rows = await select(
        `SELECT orders.* FROM (${keys}) AS found JOIN orders USING (id) ORDER BY orders.created_at DESC, orders.id DESC`,
        ...values,
      );
      const orders = rows.map(({ id, customer_id: customerId, created_at, cents, note }): Order => ({
        id,
        customerId,
        createdAt: toDate(created_at),
        cents,
        note,
      }));
      const last = rows.at(-1);
      return last === undefined ? { orders } : { orders, next: `${last.created_at}${last.id}` };
    },

    totals: async (customerIds, year) => {
      const totals = new Map<number, number>();
      for (const id of customerIds) totals.set(id, 0);
      if (customerIds.length === 0) return totals;
      const rows = await select(
        'SELECT customer_id, cents FROM orders WHERE customer_id IN (?) AND created_at BETWEEN ? AND ?',
        customerIds,
        `${year}-01-01 00:00:00`,
        `${year}-12-31 23:59:59.999999`,
      );
      for (const { customer_id, cents } of rows) totals.set(customer_id, totals.get(customer_id)! + cents);
      return totals;
    },

    migrate: () => (migration ??= addIndexes()),

    close: () => pool.end(),
  });
}
