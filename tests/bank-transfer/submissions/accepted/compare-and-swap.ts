/*
 * Reads without locks, and writes only if the balances are still what was read. Otherwise it begins again.
 */
import { createPool, type PoolOptions, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise';
import type { Answer, Bank, Transfer } from '../../../../katas/bank-transfer/bank-transfer.ts';

const conflicts = new Set(['ER_DUP_ENTRY', 'ER_LOCK_DEADLOCK', 'ER_LOCK_WAIT_TIMEOUT', 'ER_CHECKREAD']);

export function createBank(options: PoolOptions): Bank {
  const pool = createPool(options);

  /** Undefined when somebody was faster. */
  async function tryOnce({ from, to, amount, key }: Transfer): Promise<Answer | undefined> {
    // The balances come first: whoever changed them with this key is in the ledger by the next read.
    const [rows] = await pool.query<RowDataPacket[]>('SELECT * FROM accounts WHERE id IN (?)', [[from, to]]);
    const [[entry]] = await pool.query<RowDataPacket[]>('SELECT * FROM ledger WHERE transfer_key = ?', [key]);
    if (entry) {
      if (entry.from_account === from && entry.to_account === to && entry.amount === amount)
        return { moved: true, balance: entry.balance_after };
      return { moved: false, reason: 'key in use' };
    }
    const seen = new Map<string, number>(rows.map(({ id, balance }) => [id, balance]));
    if (seen.size < 2) return { moved: false, reason: 'unknown account' };
    const after = new Map([
      [from, seen.get(from)! - amount],
      [to, seen.get(to)! + amount],
    ]);
    const left = after.get(from)!;
    if (left < 0) return { moved: false, reason: 'insufficient funds' };

    const connection = await pool.getConnection();
    try {
      await connection.beginTransaction();
      for (const account of [from, to].toSorted()) {
        const [{ affectedRows }] = await connection.query<ResultSetHeader>(
          'UPDATE accounts SET balance = ? WHERE id = ? AND balance = ?',
          [after.get(account), account, seen.get(account)],
        );
        if (affectedRows === 0) {
          await connection.rollback();
          return undefined;
        }
      }
      await connection.query('INSERT INTO ledger SET ?', {
        transfer_key: key,
        from_account: from,
        to_account: to,
        amount,
        balance_after: left,
      });
      await connection.commit();
      return { moved: true, balance: left };
    } catch (error) {
      await connection.rollback().catch(() => undefined);
      if (conflicts.has((error as { code?: string }).code ?? '')) return undefined;
      throw error;
    } finally {
      connection.release();
    }
  }

  return {
    async transfer(transfer) {
      const { amount, from, to } = transfer;
      if (amount <= 0 || !Number.isInteger(amount)) return { moved: false, reason: 'invalid amount' };
      if (from === to) return { moved: false, reason: 'same account' };
      for (;;) {
        const answer = await tryOnce(transfer);
        if (answer) return answer;
      }
    },
    async balance(account) {
      const [[row]] = await pool.query<RowDataPacket[]>('SELECT balance FROM accounts WHERE id = ?', [account]);
      return row?.balance as number;
    },
    close: () => pool.end(),
  };
}
