/*
 * No pool: each transfer has a connection of its own. Because the key makes it safe, a transfer whose connection is lost is tried
 * again, and calls with the same key share one attempt.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { createConnection, type Connection, type PoolOptions, type RowDataPacket } from 'mysql2/promise';
import type { Answer, Bank, Transfer } from '../../../../katas/bank-transfer/bank-transfer.ts';

function mayHelp(error: unknown): boolean {
  const { errno, sqlState } = error as { errno?: number; sqlState?: string };
  // Conflicts, and whatever the server did not say.
  return sqlState === undefined || sqlState.startsWith('08') || [1062, 1205, 1213].includes(errno ?? 0);
}

export function createBank({ host, port, user, password, database }: PoolOptions): Bank {
  const address = Object.fromEntries(
    Object.entries({ host, port, user, password, database }).filter(([, value]) => value !== undefined),
  );
  const running = new Map<string, Promise<Answer>>();

  async function connected<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const connection = await createConnection(address);
    connection.on('error', () => undefined);
    try {
      const result = await work(connection);
      await connection.end();
      return result;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  async function move(connection: Connection, { from, to, amount, key }: Transfer): Promise<Answer> {
    await connection.beginTransaction();
    const found = new Map<string, number>();
    for (const account of [from, to].toSorted()) {
      const [rows] = await connection.query<RowDataPacket[]>('SELECT balance FROM accounts WHERE id = ? FOR UPDATE', [
        account,
      ]);
      if (rows[0]) found.set(account, rows[0].balance);
    }
    const [[entry]] = await connection.query<RowDataPacket[]>('SELECT * FROM ledger WHERE transfer_key = ?', [key]);
    if (entry)
      return entry.from_account === from && entry.to_account === to && entry.amount === amount
        ? { moved: true, balance: entry.balance_after }
        : { moved: false, reason: 'key in use' };
    if (found.size < 2) return { moved: false, reason: 'unknown account' };
    const balance = found.get(from)! - amount;
    if (balance < 0) return { moved: false, reason: 'insufficient funds' };
    await connection.query('INSERT INTO ledger VALUES (?, ?, ?, ?, ?)', [key, from, to, amount, balance]);
    await connection.query('UPDATE accounts SET balance = IF(id = ?, ?, ?) WHERE id IN (?, ?)', [
      from,
      balance,
      found.get(to)! + amount,
      from,
      to,
    ]);
    await connection.commit();
    return { moved: true, balance };
  }

  async function insist(transfer: Transfer): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await connected((connection) => move(connection, transfer));
      } catch (error) {
        if (attempt === 8 || !mayHelp(error)) throw error;
        await pause(attempt);
      }
    }
  }

  return {
    async transfer(transfer) {
      if (!Number.isSafeInteger(transfer.amount) || transfer.amount <= 0)
        return { moved: false, reason: 'invalid amount' };
      if (transfer.from === transfer.to) return { moved: false, reason: 'same account' };
      const { key, from, to, amount } = transfer;
      const same = JSON.stringify([key, from, to, amount]);
      const attempt = running.get(same) ?? insist(transfer).finally(() => running.delete(same));
      running.set(same, attempt);
      return await attempt;
    },

    balance: (account) =>
      connected(async (connection) => {
        const [[row]] = await connection.query<RowDataPacket[]>('SELECT balance FROM accounts WHERE id = ?', [account]);
        return row!.balance;
      }),

    async close() {
      await Promise.allSettled(running.values());
    },
  };
}
