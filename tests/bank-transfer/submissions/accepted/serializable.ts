/*
 * SERIALIZABLE: plain reads lock what they read, and the server ends one of two transfers that get in each other's way. That one
 * waits a moment and begins again, as often as it takes.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { createPool, type PoolConnection, type PoolOptions, type RowDataPacket } from 'mysql2/promise';
import type { Answer, Bank, Transfer } from '../../../../katas/bank-transfer/bank-transfer.ts';

export function createBank(options: PoolOptions): Bank {
  const pool = createPool({ ...options, connectionLimit: 8 });

  async function balanceOf(connection: PoolConnection, account: string): Promise<number | undefined> {
    const [rows] = await connection.query<RowDataPacket[]>('SELECT balance FROM accounts WHERE id = ?', [account]);
    return rows[0]?.balance;
  }

  async function work(connection: PoolConnection, { from, to, amount, key }: Transfer): Promise<Answer> {
    // The row comes first: looking for it would lock the gap in which others want to put theirs.
    const isNew = await connection
      .query('INSERT INTO ledger VALUES (?, ?, ?, ?, -1)', [key, from, to, amount])
      .then(() => true)
      .catch((error: { errno: number }) => {
        if (error.errno === 1062) return false;
        throw error;
      });
    if (!isNew) {
      const [[row]] = await connection.query<RowDataPacket[]>('SELECT * FROM ledger WHERE transfer_key = ?', [key]);
      const { from_account, to_account, amount: cents, balance_after: balance } = row!;
      return [from_account, to_account, cents].join() === [from, to, amount].join()
        ? { moved: true, balance }
        : { moved: false, reason: 'key in use' };
    }

    const source = await balanceOf(connection, from);
    const target = await balanceOf(connection, to);
    if (source === undefined || target === undefined) return { moved: false, reason: 'unknown account' };
    const balance = source - amount;
    if (balance < 0) return { moved: false, reason: 'insufficient funds' };
    await connection.query('UPDATE accounts SET balance = ? WHERE id = ?', [balance, from]);
    await connection.query('UPDATE accounts SET balance = ? WHERE id = ?', [target + amount, to]);
    await connection.query('UPDATE ledger SET balance_after = ? WHERE transfer_key = ?', [balance, key]);
    return { moved: true, balance };
  }

  async function attempt(one: Transfer): Promise<Answer> {
    const connection = await pool.getConnection();
    try {
      await connection.query('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE');
      await connection.query('START TRANSACTION');
      const answer = await work(connection, one);
      await connection.query(answer.moved ? 'COMMIT' : 'ROLLBACK');
      connection.release();
      return answer;
    } catch (error) {
      await connection.rollback().then(
        () => connection.release(),
        () => connection.destroy(),
      );
      throw error;
    }
  }

  async function transfer(one: Transfer): Promise<Answer> {
    if (!Number.isSafeInteger(one.amount) || one.amount < 1) return { moved: false, reason: 'invalid amount' };
    if (one.from === one.to) return { moved: false, reason: 'same account' };
    try {
      return await attempt(one);
    } catch (error) {
      if (![1205, 1213].includes((error as { errno: number }).errno)) throw error;
      await pause(Math.random() * 20);
      return await transfer(one);
    }
  }

  return {
    transfer,
    balance: async (account) => {
      const [[row]] = await pool.query<RowDataPacket[]>('SELECT balance FROM accounts WHERE id = ?', [account]);
      return row!.balance;
    },
    close: async () => pool.end(),
  };
}
