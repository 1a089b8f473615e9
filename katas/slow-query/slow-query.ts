import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export interface OrderSummary {
  id: number;
  createdAt: Date;
  cents: number;
}

export interface Order extends OrderSummary {
  customerId: number;
  note: string;
}

export interface Page {
  orders: Order[];
  /** Where the next page begins; not there when the last order has been returned. */
  next?: string | undefined;
}

export interface Orders {
  latest(customerId: number, limit: number): Promise<OrderSummary[]>;
  page(after: string | undefined, limit: number): Promise<Page>;
  totals(customerIds: readonly number[], year: number): Promise<Map<number, number>>;
  /** Adds the indexes that the calls need. */
  migrate(): Promise<void>;
  close(): Promise<void>;
}

function toOrder(row: RowDataPacket): Order {
  return {
    id: Number(row.id),
    customerId: Number(row.customer_id),
    createdAt: row.created_at as Date,
    cents: Number(row.cents),
    note: String(row.note),
  };
}

export function createOrders(options: PoolOptions): Orders {
  const pool = createPool({ ...options, timezone: 'Z' });

  return {
    async latest(customerId, limit) {
      const [rows] = await pool.query<RowDataPacket[]>(
        'SELECT * FROM orders WHERE customer_id = ? ORDER BY created_at DESC, id DESC LIMIT ?',
        [customerId, limit],
      );
      return rows.map(toOrder).map(({ id, createdAt, cents }) => ({ id, createdAt, cents }));
    },

    async page(after, limit) {
      const offset = Number(after ?? 0);
      const [rows] = await pool.query<RowDataPacket[]>(
        'SELECT * FROM orders ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?',
        [limit, offset],
      );
      return { orders: rows.map(toOrder), next: rows.length < limit ? undefined : String(offset + limit) };
    },

    async totals(customerIds, year) {
      const totals = new Map<number, number>();
      for (const customerId of customerIds) {
        const [rows] = await pool.query<RowDataPacket[]>(
          'SELECT SUM(cents) AS total FROM orders WHERE customer_id = ? AND YEAR(created_at) = ?',
          [customerId, year],
        );
        totals.set(customerId, Number(rows[0]!.total));
      }
      return totals;
    },

    async migrate() {
      await pool.query('CREATE INDEX orders_by_time ON orders (created_at)');
    },

    async close() {
      await pool.end();
    },
  };
}
