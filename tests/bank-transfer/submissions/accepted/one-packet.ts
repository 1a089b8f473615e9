/*
 * The whole transaction goes to the server in one packet. The server decides; the module only reads what came out.
 */
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';
import type { Answer, Bank, Transfer } from '../../../../katas/bank-transfer/bank-transfer.ts';

const script = `
  START TRANSACTION;
  SELECT id FROM accounts WHERE id IN (:from, :to) ORDER BY id FOR UPDATE;
  INSERT IGNORE INTO ledger
    SELECT :key, source.id, target.id, :amount, source.balance - :amount
      FROM accounts AS source JOIN accounts AS target ON target.id = :to
     WHERE source.id = :from AND source.balance >= :amount;
  SET @inserted = ROW_COUNT();
  UPDATE accounts
     SET balance = balance + IF(id = :from, -:amount, :amount)
   WHERE id IN (:from, :to) AND @inserted = 1;
  SELECT * FROM ledger WHERE transfer_key = :key;
  COMMIT`;

export function createBank(options: PoolOptions): Bank {
  const pool = createPool({ ...options, multipleStatements: true, namedPlaceholders: true });

  async function send(transfer: Transfer): Promise<Answer> {
    const connection = await pool.getConnection();
    try {
      const [results] = await connection.query<RowDataPacket[][]>(script, { ...transfer });
      const [, accounts, , , , [entry]] = results as [
        unknown,
        RowDataPacket[],
        unknown,
        unknown,
        unknown,
        RowDataPacket[],
      ];
      if (!entry) return { moved: false, reason: accounts.length < 2 ? 'unknown account' : 'insufficient funds' };
      const { from_account: from, to_account: to, amount } = entry;
      const isSame = from === transfer.from && to === transfer.to && amount === transfer.amount;
      return isSame ? { moved: true, balance: entry.balance_after } : { moved: false, reason: 'key in use' };
    } catch (error) {
      await connection.query('ROLLBACK').catch(() => undefined);
      throw error;
    } finally {
      connection.release();
    }
  }

  return {
    async transfer(transfer) {
      if (transfer.amount <= 0 || !Number.isSafeInteger(transfer.amount))
        return { moved: false, reason: 'invalid amount' };
      if (transfer.from === transfer.to) return { moved: false, reason: 'same account' };
      for (let attempt = 1; ; attempt++) {
        try {
          return await send(transfer);
        } catch (error) {
          if ((error as { errno?: number }).errno !== 1213 || attempt > 50) throw error;
        }
      }
    },

    async balance(account) {
      const [rows] = await pool.query<RowDataPacket[]>('SELECT balance FROM accounts WHERE id = :account', { account });
      return rows[0]!.balance;
    },

    async close() {
      await pool.end();
    },
  };
}
