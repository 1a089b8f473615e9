/*
 * The row of the ledger comes first. Its primary key makes a second call with the same key wait until the first one has ended.
 */
import {
  createPool,
  type PoolConnection,
  type PoolOptions,
  type ResultSetHeader,
  type RowDataPacket,
} from 'mysql2/promise';
import type { Answer, Bank, Reason, Transfer } from '../../../../katas/bank-transfer/bank-transfer.ts';

class Refusal extends Error {
  readonly reason: Reason;

  constructor(reason: Reason) {
    super(reason);
    this.reason = reason;
  }
}

function isErrno(error: unknown, ...errnos: number[]): boolean {
  return errnos.includes((error as { errno?: number }).errno ?? 0);
}

export function createBank(options: PoolOptions): Bank {
  const pool = createPool(options);

  async function inTransaction<T>(work: (connection: PoolConnection) => Promise<T>): Promise<T> {
    for (let left = 20; ; left--) {
      const connection = await pool.getConnection();
      try {
        await connection.query('START TRANSACTION');
        const result = await work(connection);
        await connection.query('COMMIT');
        return result;
      } catch (error) {
        await connection.query('ROLLBACK').catch(() => undefined);
        if (left === 0 || !isErrno(error, 1205, 1213)) throw error;
      } finally {
        connection.release();
      }
    }
  }

  async function change(connection: PoolConnection, account: string, cents: number): Promise<void> {
    const [{ affectedRows }] = await connection.query<ResultSetHeader>(
      'UPDATE accounts SET balance = balance + ? WHERE id = ? AND balance + ? >= 0',
      [cents, account, cents],
    );
    if (affectedRows === 1) return;
    const [found] = await connection.query<RowDataPacket[]>('SELECT 1 FROM accounts WHERE id = ?', [account]);
    throw new Refusal(found.length === 0 ? 'unknown account' : 'insufficient funds');
  }

  async function move(connection: PoolConnection, { from, to, amount, key }: Transfer): Promise<Answer> {
    try {
      await connection.query('INSERT INTO ledger VALUES (?, ?, ?, ?, 0)', [key, from, to, amount]);
    } catch (error) {
      if (!isErrno(error, 1062)) throw error;
      const [[row]] = await connection.query<RowDataPacket[]>('SELECT * FROM ledger WHERE transfer_key = ?', [key]);
      if (row!.from_account !== from || row!.to_account !== to || row!.amount !== amount)
        throw new Refusal('key in use');
      return { moved: true, balance: row!.balance_after };
    }
    const changes: [string, number][] = [
      [from, -amount],
      [to, amount],
    ];
    for (const [account, cents] of from < to ? changes : changes.toReversed()) await change(connection, account, cents);
    const [[row]] = await connection.query<RowDataPacket[]>('SELECT balance FROM accounts WHERE id = ?', [from]);
    await connection.query('UPDATE ledger SET balance_after = ? WHERE transfer_key = ?', [row!.balance, key]);
    return { moved: true, balance: row!.balance };
  }

  return {
    async transfer(transfer) {
      try {
        if (!Number.isInteger(transfer.amount) || transfer.amount < 1) throw new Refusal('invalid amount');
        if (transfer.from === transfer.to) throw new Refusal('same account');
        return await inTransaction((connection) => move(connection, transfer));
      } catch (error) {
        if (error instanceof Refusal) return { moved: false, reason: error.reason };
        throw error;
      }
    },

    async balance(account) {
      const [rows] = await pool.query<RowDataPacket[]>('SELECT balance FROM accounts WHERE id = ?', [account]);
      return rows[0]!.balance;
    },

    close: () => pool.end(),
  };
}
