/*
 * Locks and checks with its two UPDATEs, in the order of the ids; LAST_INSERT_ID(balance - amount) brings back what is left. The row of
 * the ledger comes last and decides whose key it is.
 */
import {
  createPool,
  type PoolConnection,
  type PoolOptions,
  type ResultSetHeader,
  type RowDataPacket,
} from 'mysql2/promise';
import type { Answer, Bank, Reason, Transfer } from '../../../../katas/bank-transfer/bank-transfer.ts';

const duplicateKey = 1062;
const deadlock = 1213;

export function createBank(options: PoolOptions): Bank {
  const pool = createPool({ ...options, waitForConnections: true, queueLimit: 0 });
  const underWay = new Set<Promise<unknown>>();

  function refused(reason: Reason): Answer {
    return { moved: false, reason };
  }

  async function change(connection: PoolConnection, sql: string, values: unknown[]): Promise<ResultSetHeader> {
    const [result] = await connection.query<ResultSetHeader>(sql, values);
    return result;
  }

  /** The answer that the committed ledger gives for this key, if it knows it. */
  async function recorded(
    connection: PoolConnection,
    { from, to, amount, key }: Transfer,
  ): Promise<Answer | undefined> {
    const [rows] = await connection.query<RowDataPacket[]>(
      'SELECT from_account, to_account, amount, balance_after FROM ledger WHERE transfer_key = ?',
      [key],
    );
    const row = rows[0];
    if (!row) return undefined;
    const same = row.from_account === from && row.to_account === to && Number(row.amount) === amount;
    return same ? { moved: true, balance: Number(row.balance_after) } : refused('key in use');
  }

  /** Runs inside a transaction. Whoever calls it commits what has moved and undoes everything else. */
  async function move(connection: PoolConnection, transfer: Transfer): Promise<{ answer: Answer; commit: boolean }> {
    const { from, to, amount, key } = transfer;
    const known = await recorded(connection, transfer);
    if (known) return { answer: known, commit: false };

    let left = 0;
    for (const id of from < to ? [from, to] : [to, from]) {
      if (id === to) {
        const credit = await change(connection, 'UPDATE accounts SET balance = balance + ? WHERE id = ?', [amount, id]);
        if (credit.affectedRows === 0) return { answer: refused('unknown account'), commit: false };
        continue;
      }
      const debit = await change(
        connection,
        'UPDATE accounts SET balance = LAST_INSERT_ID(balance - ?) WHERE id = ? AND balance >= ?',
        [amount, id, amount],
      );
      if (debit.affectedRows === 0) {
        // The UPDATE may have waited for the first transfer with this very key.
        const meanwhile = await recorded(connection, transfer);
        if (meanwhile) return { answer: meanwhile, commit: false };
        const [rows] = await connection.query<RowDataPacket[]>('SELECT 1 FROM accounts WHERE id = ?', [id]);
        return { answer: refused(rows.length > 0 ? 'insufficient funds' : 'unknown account'), commit: false };
      }
      left = debit.insertId;
    }

    await change(
      connection,
      'INSERT INTO ledger (transfer_key, from_account, to_account, amount, balance_after) VALUES (?, ?, ?, ?, ?)',
      [key, from, to, amount, left],
    );
    return { answer: { moved: true, balance: left }, commit: true };
  }

  /** Resolves with undefined if it has to be tried again. */
  async function attempt(transfer: Transfer): Promise<Answer | undefined> {
    const connection = await pool.getConnection();
    let clean = false;
    try {
      await connection.query('SET TRANSACTION ISOLATION LEVEL READ COMMITTED');
      await connection.query('START TRANSACTION');
      let result: { answer: Answer; commit: boolean };
      try {
        result = await move(connection, transfer);
      } catch (error) {
        await connection.query('ROLLBACK');
        clean = true;
        const { errno } = error as { errno?: number };
        if (errno === deadlock || errno === duplicateKey) return undefined;
        throw error;
      }
      await connection.query(result.commit ? 'COMMIT' : 'ROLLBACK');
      clean = true;
      return result.answer;
    } finally {
      // Nobody knows what state an unclean connection is in. The server undoes what it has left open.
      if (clean) connection.release();
      else connection.destroy();
    }
  }

  async function transferNow(transfer: Transfer): Promise<Answer> {
    if (!Number.isSafeInteger(transfer.amount) || transfer.amount <= 0) return refused('invalid amount');
    if (transfer.from === transfer.to) return refused('same account');
    for (let tries = 1; tries <= 1_000; tries++) {
      const answer = await attempt(transfer);
      if (answer) return answer;
      await new Promise((resolve) => setTimeout(resolve, Math.random() * Math.min(50, 5 * tries)));
    }
    throw new Error('The transfer was in the way of others too often');
  }

  async function balanceNow(account: string): Promise<number> {
    const [rows] = await pool.query<RowDataPacket[]>('SELECT balance FROM accounts WHERE id = ?', [account]);
    return Number(rows[0]?.balance ?? 0);
  }

  function track<T>(work: Promise<T>): Promise<T> {
    underWay.add(work);
    const forget = (): void => void underWay.delete(work);
    work.then(forget, forget);
    return work;
  }

  return {
    transfer: ({ from, to, amount, key }) => track(transferNow({ from, to, amount, key })),
    balance: (account) => track(balanceNow(account)),
    async close() {
      await Promise.allSettled(underWay);
      await pool.end();
    },
  };
}
