import { type Pool, type PoolConnection, type PoolOptions, type RowDataPacket, createPool } from 'mysql2/promise';
import type { Order, OrderSummary, Orders, Page } from '../../../../katas/slow-query/slow-query.ts';

/** Where a page begins: microseconds since 1970, and an id. */
interface Cursor {
  readonly micros: string;
  readonly id: string;
}

const wanted = new Map([
  ['idx_customer_time', 'ALTER TABLE orders ADD INDEX idx_customer_time (customer_id, created_at, id, cents)'],
  ['idx_time', 'ALTER TABLE orders ADD INDEX idx_time (created_at)'],
]);
const columns =
  "id, customer_id, created_at, cents, note, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', created_at) AS micros";
const atMicros = "TIMESTAMPADD(MICROSECOND, ?, '1970-01-01')";

/** Statements are prepared, pages take a statement for the ties and one for the rest, and one migration runs at a time. */
class OrderStore implements Orders {
  readonly #pool: Pool;

  constructor(options: PoolOptions) {
    this.#pool = createPool({ ...options, timezone: 'Z' });
  }

  async latest(customerId: number, limit: number): Promise<OrderSummary[]> {
    const rows = await this.#rows(
      'SELECT created_at, id, cents FROM orders WHERE customer_id = ? ORDER BY created_at DESC, id DESC LIMIT ?',
      [customerId, String(limit)],
    );
    return rows.map((row) => ({ id: row.id, createdAt: row.created_at, cents: row.cents }));
  }

  async page(after: string | undefined, limit: number): Promise<Page> {
    // One more than asked for tells whether there is a next page.
    const most = limit + 1;
    const rows = after === undefined ? await this.#newest(most) : await this.#following(decode(after), most);
    const orders = rows.slice(0, limit).map(toOrder);
    if (rows.length <= limit) return { orders };
    const last = rows[limit - 1]!;
    return { orders, next: encode({ micros: String(last.micros), id: String(last.id) }) };
  }

  async #newest(most: number): Promise<RowDataPacket[]> {
    return await this.#rows(`SELECT ${columns} FROM orders ORDER BY created_at DESC, id DESC LIMIT ?`, [String(most)]);
  }

  async #following({ micros, id }: Cursor, most: number): Promise<RowDataPacket[]> {
    const ties = await this.#rows(
      `SELECT ${columns} FROM orders FORCE INDEX (idx_time) WHERE created_at = ${atMicros} AND id < ? ORDER BY id DESC LIMIT ?`,
      [micros, id, String(most)],
    );
    if (ties.length === most) return ties;
    const rest = await this.#rows(
      `SELECT ${columns} FROM orders WHERE created_at < ${atMicros} ORDER BY created_at DESC, id DESC LIMIT ?`,
      [micros, String(most - ties.length)],
    );
    return [...ties, ...rest];
  }

  async totals(customerIds: readonly number[], year: number): Promise<Map<number, number>> {
    const ids = [...new Set(customerIds)];
    if (ids.length === 0) return new Map();
    const [from, until] = [new Date(Date.UTC(year, 0)), new Date(Date.UTC(year + 1, 0))];
    const ofOne =
      'SELECT ? AS id, SUM(cents) AS total FROM orders WHERE customer_id = ? AND created_at >= ? AND created_at < ?';
    const rows = await this.#rows(
      ids.map(() => ofOne).join(' UNION ALL '),
      ids.flatMap((id) => [id, id, from, until]),
    );
    return new Map(rows.map((row) => [Number(row.id), Number(row.total ?? 0)]));
  }

  async migrate(): Promise<void> {
    const connection = await this.#pool.getConnection();
    try {
      await connection.query("SELECT GET_LOCK(CONCAT(DATABASE(), '.migrate'), 60)");
      await this.#migrateLocked(connection);
      await connection.query("SELECT RELEASE_LOCK(CONCAT(DATABASE(), '.migrate'))");
      connection.release();
    } catch (error) {
      // Its lock goes with it.
      connection.destroy();
      throw error;
    }
  }

  async #migrateLocked(connection: PoolConnection): Promise<void> {
    const [rows] = await connection.query<RowDataPacket[]>('SHOW INDEX FROM orders');
    const present = new Set(rows.map((row) => row.Key_name as string));
    for (const [name, statement] of wanted) if (!present.has(name)) await connection.query(statement);
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #rows(sql: string, values: (string | number | Date)[]): Promise<RowDataPacket[]> {
    const [rows] = await this.#pool.execute<RowDataPacket[]>(sql, values);
    return rows;
  }
}

function toOrder(row: RowDataPacket): Order {
  return { id: row.id, customerId: row.customer_id, createdAt: row.created_at, cents: row.cents, note: row.note };
}

function encode(cursor: Cursor): string {
  return Buffer.from(JSON.stringify(cursor)).toString('base64url');
}

function decode(text: string): Cursor {
  return JSON.parse(Buffer.from(text, 'base64url').toString()) as Cursor;
}

export function createOrders(options: PoolOptions): Orders {
  return new OrderStore(options);
}
