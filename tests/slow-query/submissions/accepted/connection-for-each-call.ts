import { type Connection, type PoolOptions, type RowDataPacket, createConnection } from 'mysql2/promise';
import type { Order, OrderSummary, Orders, Page } from '../../../../katas/slow-query/slow-query.ts';

type Row = RowDataPacket & {
  id: number;
  customer_id: number;
  created_at: Date;
  cents: number;
  note: string;
  at: string;
};

const after = 'created_at < :time OR created_at = :time AND id < :id';

/** Opens a connection for each call, as a function of a serverless service does, and waits for locks in short steps. */
class OrdersByConnection implements Orders {
  constructor(private readonly options: PoolOptions) {}

  private async connected<Result>(work: (connection: Connection) => Promise<Result>): Promise<Result> {
    const { host, port, user, password, database } = this.options;
    const connection = await createConnection({
      host: host!,
      port: port!,
      user: user!,
      password: password!,
      database: database!,
      timezone: 'Z',
      namedPlaceholders: true,
    });
    try {
      await connection.query('SET SESSION lock_wait_timeout = 5');
      return await work(connection);
    } finally {
      await connection.end().catch(() => connection.destroy());
    }
  }

  latest(customerId: number, limit: number): Promise<OrderSummary[]> {
    return this.connected(async (connection) => {
      const [rows] = await connection.query<Row[]>(
        `WITH newest AS (
           SELECT id, created_at, cents FROM orders WHERE customer_id = :customerId
           ORDER BY created_at DESC, id DESC LIMIT :limit
         ) SELECT * FROM newest ORDER BY created_at DESC, id DESC`,
        { customerId, limit },
      );
      return rows.map(({ id, created_at: createdAt, cents }) => ({ id, createdAt, cents }));
    });
  }

  page(cursor: string | undefined, limit: number): Promise<Page> {
    return this.connected(async (connection) => {
      const [id, time] = cursor?.split(' at ') ?? [];
      const [rows] = await connection.query<Row[]>(
        `SELECT *, CONCAT(created_at) AS at FROM orders WHERE ${cursor === undefined ? 'TRUE' : after}
         ORDER BY created_at DESC, id DESC LIMIT :limit`,
        { id: Number(id), time, limit },
      );
      const orders: Order[] = [];
      let next: string | undefined;
      for (const row of rows) {
        orders.push(
          Object.freeze({
            id: row.id,
            customerId: row.customer_id,
            createdAt: row.created_at,
            cents: row.cents,
            note: row.note,
          }),
        );
        next = `${row.id} at ${row.at}`;
      }
      return { orders, next };
    });
  }

  async totals(customerIds: readonly number[], year: number): Promise<Map<number, number>> {
    const totals = new Map<number, number>();
    const wanted = new Set(customerIds);
    if (wanted.size > 0)
      await this.connected(async (connection) => {
        const [rows] = await connection.query<Row[]>(
          `SELECT customer_id, CAST(SUM(cents) AS CHAR) AS at FROM orders
           WHERE customer_id IN (${[...wanted].map(Number).join()})
             AND created_at BETWEEN TIMESTAMP(:first) AND TIMESTAMPADD(MICROSECOND, -1, :next)
           GROUP BY customer_id ORDER BY NULL`,
          { first: `${year}-01-01`, next: `${year + 1}-01-01` },
        );
        for (const row of rows) totals.set(row.customer_id, Number.parseInt(row.at, 10));
      });
    for (const id of wanted) if (!totals.has(id)) totals.set(id, 0);
    return totals;
  }

  async migrate(): Promise<void> {
    await this.addIndex('by_time_and_id', '(created_at, id)');
    await this.addIndex('by_customer_and_time', '(customer_id, created_at, id, cents)');
  }

  /** A wait for a lock is given up after 5 s, so that others are not held up for longer, and begins again. */
  private async addIndex(name: string, columns: string): Promise<void> {
    for (let attempt = 1; ; attempt++)
      try {
        return await this.connected(async (connection) => {
          const [[table]] = await connection.query<RowDataPacket[]>('SHOW CREATE TABLE orders');
          if (String(table!['Create Table']).includes(`\`${name}\``)) return;
          await connection.query(`CREATE INDEX ${name} ON orders ${columns}`);
        });
      } catch (error) {
        const { errno } = error as { errno?: number };
        if (errno === 1061) return;
        if (errno !== 1205 || attempt === 10) throw error;
      }
  }

  async close(): Promise<void> {}
}

export function createOrders(options: PoolOptions): Orders {
  return new OrdersByConnection(options);
}
