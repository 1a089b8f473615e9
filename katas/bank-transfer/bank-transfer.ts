import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export interface Transfer {
  from: string;
  to: string;
  /** Whole cents. */
  amount: number;
  key: string;
}

export type Reason = 'invalid amount' | 'same account' | 'unknown account' | 'insufficient funds' | 'key in use';

export type Answer =
  | {
      moved: true;
      /** What `from` had left right after this transfer. */
      balance: number;
    }
  | { moved: false; reason: Reason };

export interface Bank {
  transfer(transfer: Transfer): Promise<Answer>;
  /** The committed balance of an account that exists. */
  balance(account: string): Promise<number>;
  /** Closes all connections. */
  close(): Promise<void>;
}

export function createBank(options: PoolOptions): Bank {
  const pool = createPool(options);

  async function readBalance(account: string): Promise<number | undefined> {
    const [rows] = await pool.query<RowDataPacket[]>('SELECT balance FROM accounts WHERE id = ?', [account]);
    return rows[0]?.balance;
  }

  async function writeBalance(account: string, balance: number): Promise<void> {
    await pool.query('UPDATE accounts SET balance = ? WHERE id = ?', [balance, account]);
  }

  return {
    async transfer({ from, to, amount, key }) {
      if (amount <= 0) return { moved: false, reason: 'invalid amount' };

      const [rows] = await pool.query<RowDataPacket[]>('SELECT balance_after FROM ledger WHERE transfer_key = ?', [
        key,
      ]);
      if (rows[0]) return { moved: true, balance: rows[0].balance_after };

      const source = await readBalance(from);
      const target = await readBalance(to);
      if (source === undefined || target === undefined) return { moved: false, reason: 'unknown account' };
      if (source < amount) return { moved: false, reason: 'insufficient funds' };

      const balance = source - amount;
      await writeBalance(from, balance);
      await writeBalance(to, target + amount);
      await pool.query('INSERT INTO ledger VALUES (?, ?, ?, ?, ?)', [key, from, to, amount, balance]);
      return { moved: true, balance };
    },

    async balance(account) {
      return (await readBalance(account)) ?? 0;
    },

    async close() {
      await pool.end();
    },
  };
}
