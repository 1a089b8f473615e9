/*
 * Named locks of the server order the transfers: one for the key and one for each account, taken in the order of their names.
 */
import { createHash } from 'node:crypto';
import { createPool, type Pool, type PoolConnection, type PoolOptions, type RowDataPacket } from 'mysql2/promise';
import type { Answer, Bank, Transfer } from '../../../../katas/bank-transfer/bank-transfer.ts';

class Teller {
  readonly #connection: PoolConnection;

  constructor(connection: PoolConnection) {
    this.#connection = connection;
  }

  async lock(names: string[]): Promise<void> {
    for (const name of names.toSorted()) {
      const [[row]] = await this.#connection.query<RowDataPacket[]>('SELECT GET_LOCK(?, 30) AS taken', [name]);
      if (row?.taken !== 1) throw new Error(`no lock ${name} after 30 s`);
    }
  }

  async unlock(): Promise<void> {
    await this.#connection.query('DO RELEASE_ALL_LOCKS()');
  }

  async serve({ from, to, amount, key }: Transfer): Promise<Answer> {
    const entry = await this.#row('SELECT * FROM ledger WHERE transfer_key = ?', key);
    if (entry && (entry.from_account !== from || entry.to_account !== to || entry.amount !== amount))
      return { moved: false, reason: 'key in use' };
    if (entry) return { moved: true, balance: entry.balance_after };

    const source = await this.#row('SELECT balance FROM accounts WHERE id = ?', from);
    const target = await this.#row('SELECT balance FROM accounts WHERE id = ?', to);
    if (!source || !target) return { moved: false, reason: 'unknown account' };
    if (source.balance < amount) return { moved: false, reason: 'insufficient funds' };
    const [left, received]: [number, number] = [source.balance - amount, target.balance + amount];
    await this.#connection.beginTransaction();
    const write = 'UPDATE accounts SET balance = ? WHERE id = ?';
    await this.#connection.query(write, [received, to]);
    await this.#connection.query(write, [left, from]);
    await this.#connection.query('INSERT INTO ledger VALUES (?)', [[key, from, to, amount, left]]);
    await this.#connection.commit();
    return { moved: true, balance: left };
  }

  async #row(sql: string, id: string): Promise<RowDataPacket | undefined> {
    const [rows] = await this.#connection.query<RowDataPacket[]>(sql, [id]);
    return rows[0];
  }
}

class LockingBank implements Bank {
  readonly #pool: Pool;
  readonly #database: string;

  constructor(options: PoolOptions) {
    this.#pool = createPool(options);
    this.#database = options.database ?? '';
  }

  transfer = async (transfer: Transfer): Promise<Answer> => {
    const { from, to, amount, key } = transfer;
    if (!Number.isSafeInteger(amount) || amount < 1) return { moved: false, reason: 'invalid amount' };
    if (from === to) return { moved: false, reason: 'same account' };
    const connection = await this.#pool.getConnection();
    const teller = new Teller(connection);
    try {
      await teller.lock([`account ${from}`, `account ${to}`, `key ${key}`].map((name) => this.#nameOf(name)));
      const answer = await teller.serve(transfer);
      await teller.unlock();
      connection.release();
      return answer;
    } catch (error) {
      // The end of the connection ends its transaction and its locks.
      connection.destroy();
      throw error;
    }
  };

  /** Names are known to the whole server, and have at most 64 characters. */
  #nameOf(what: string): string {
    return createHash('sha256').update(`${this.#database}\0${what}`).digest('base64url');
  }

  async balance(account: string): Promise<number> {
    const [[row]] = await this.#pool.query<RowDataPacket[]>('SELECT balance FROM accounts WHERE id = ?', [account]);
    return row!.balance;
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

export function createBank(options: PoolOptions): Bank {
  return new LockingBank(options);
}
