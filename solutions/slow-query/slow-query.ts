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

/** The server's name for "an index of this name is there already". */
const duplicateKeyName = 1061;

const indexes = [
  // For latest and totals. The id comes before the cents, so that equal times are in the order of latest.
  'orders_by_customer ON orders (customer_id, created_at, id, cents)',
  // For page.
  'orders_by_time ON orders (created_at, id)',
];

function toSummary(row: RowDataPacket): OrderSummary {
  return { id: Number(row.id), createdAt: row.created_at as Date, cents: Number(row.cents) };
}

function toOrder(row: RowDataPacket): Order {
  return { ...toSummary(row), customerId: Number(row.customer_id), note: String(row.note) };
}

export function createOrders(options: PoolOptions): Orders {
  const pool = createPool({ ...options, timezone: 'Z' });

  return {
    async latest(customerId, limit) {
      const [rows] = await pool.query<RowDataPacket[]>(
        'SELECT id, created_at, cents FROM orders WHERE customer_id = ? ORDER BY created_at DESC, id DESC LIMIT ?',
        [customerId, limit],
      );
      return rows.map(toSummary);
    },

    async page(after, limit) {
      // A Date has milliseconds only, so the cursor keeps the time as the server writes it.
      const [time, id] = after?.split('|') ?? [];
      const [rows] = await pool.query<RowDataPacket[]>(
        `SELECT id, customer_id, created_at, cents, note, CAST(created_at AS CHAR) AS at FROM orders
         ${after === undefined ? '' : 'WHERE created_at < ? OR (created_at = ? AND id < ?)'}
         ORDER BY created_at DESC, id DESC LIMIT ?`,
        after === undefined ? [limit] : [time, time, Number(id), limit],
      );
      const last = rows.at(-1);
      return {
        orders: rows.map(toOrder),
        next: last === undefined || rows.length < limit ? undefined : `${last.at}|${last.id}`,
      };
    },

    async totals(customerIds, year) {
      const totals = new Map(customerIds.map((id) => [id, 0]));
      if (totals.size === 0) return totals;
      const [rows] = await pool.query<RowDataPacket[]>(
        `SELECT customer_id, SUM(cents) AS total FROM orders
         WHERE customer_id IN (?) AND created_at >= ? AND created_at < ? GROUP BY customer_id`,
        [[...totals.keys()], `${year}-01-01`, `${year + 1}-01-01`],
      );
      for (const row of rows) totals.set(Number(row.customer_id), Number(row.total));
      return totals;
    },

    async migrate() {
      for (const index of indexes)
        try {
          await pool.query(`CREATE INDEX ${index} ALGORITHM = INPLACE LOCK = NONE`);
        } catch (error) {
          if ((error as { errno?: number }).errno !== duplicateKeyName) throw error;
        }
    },

    async close() {
      await pool.end();
    },
  };
}
