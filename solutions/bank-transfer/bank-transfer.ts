import { createPool, type PoolConnection, type PoolOptions, type RowDataPacket } from 'mysql2/promise';
import type * as Starter from '../../katas/bank-transfer/bank-transfer.ts';

type Answer = Starter.Answer;
type Transfer = Starter.Transfer;

/**
 * Another transfer was in the way, and this one can safely be tried again: its key was just used (1062), a lock wait timeout (1205),
 * a deadlock (1213).
 */
const retryable = new Set([1062, 1205, 1213]);
const attempts = 10;

const refused = (reason: Starter.Reason): Answer => ({ moved: false, reason });

/** Runs inside a transaction. Unless it answers that the money moved, it has changed nothing. */
async function move(connection: PoolConnection, { from, to, amount, key }: Transfer): Promise<Answer> {
  // Locks both accounts, always in the same order. So two transfers never wait for each other, and a second call
  // with this key waits here until the first one has ended.
  const [accounts] = await connection.query<RowDataPacket[]>(
    'SELECT id, balance FROM accounts WHERE id IN (?, ?) ORDER BY id FOR UPDATE',
    [from, to],
  );
  // The first read without a lock takes the snapshot. It comes after the wait, so it sees what the first call committed.
  const [[known]] = await connection.query<RowDataPacket[]>('SELECT * FROM ledger WHERE transfer_key = ?', [key]);
  if (known) {
    const isSame = known.from_account === from && known.to_account === to && known.amount === amount;
    return isSame ? { moved: true, balance: known.balance_after } : refused('key in use');
  }
  if (accounts.length < 2) return refused('unknown account');
  const balance: number = accounts.find(({ id }) => id === from)!.balance - amount;
  if (balance < 0) return refused('insufficient funds');

  await connection.query('UPDATE accounts SET balance = balance + IF(id = ?, -?, ?) WHERE id IN (?, ?)', [
    from,
    amount,
    amount,
    from,
    to,
  ]);
  await connection.query('INSERT INTO ledger VALUES (?, ?, ?, ?, ?)', [key, from, to, amount, balance]);
  return { moved: true, balance };
}

export const createBank = ((options: PoolOptions): Starter.Bank => {
  const pool = createPool(options);

  async function transferOnce(transfer: Transfer): Promise<Answer> {
    const connection = await pool.getConnection();
    try {
      await connection.beginTransaction();
      const answer = await move(connection, transfer);
      await connection.commit();
      connection.release();
      return answer;
    } catch (error) {
      // Closing the connection rolls back, whatever state it is in.
      connection.destroy();
      throw error;
    }
  }

  return {
    async transfer(transfer) {
      const { from, to, amount } = transfer;
      if (!Number.isSafeInteger(amount) || amount <= 0) return refused('invalid amount');
      if (from === to) return refused('same account');
      for (let attempt = 1; ; attempt++) {
        try {
          return await transferOnce(transfer);
        } catch (error) {
          const { errno } = error as { errno?: number };
          if (errno === undefined || !retryable.has(errno) || attempt === attempts) throw error;
        }
      }
    },

    async balance(account) {
      const [[row]] = await pool.query<RowDataPacket[]>('SELECT balance FROM accounts WHERE id = ?', [account]);
      if (!row) throw new Error(`There is no account "${account}".`);
      return row.balance;
    },

    async close() {
      await pool.end();
    },
  };
}) satisfies typeof Starter.createBank;
