import type { Connection, RowDataPacket } from 'mysql2/promise';

/**
 * Which of these server threads, each of which has been asked for something, wait for a lock just now: a row or table
 * lock, a metadata lock, or one of GET_LOCK. `bystanders` are the judge's own threads, whose waits do not count.
 *
 * It asks what tells the state of this moment: SHOW FULL PROCESSLIST and SHOW ENGINE INNODB STATUS. The latter leaves
 * out transactions that have only read, so that a wait for a shared lock is seen only as a difference to the server's
 * count of row lock waits; on a server that others use too, that difference may be theirs. (innodb_trx would show it,
 * but is up to 100 ms old and never renewed while it is read more often; the performance schema is switched off.)
 */
export async function waitingThreads(
  admin: Connection,
  threadIds: readonly number[],
  bystanders: readonly number[] = [],
): Promise<Set<number>> {
  const waiting = new Set<number>();
  const [sessions] = await admin.query<RowDataPacket[]>('SHOW FULL PROCESSLIST');
  for (const { Id, State } of sessions) {
    if (threadIds.includes(Id as number) && /^(User lock|Waiting for .*lock)$/i.test((State as string | null) ?? ''))
      waiting.add(Id as number);
  }

  const [[count]] = await admin.query<RowDataPacket[]>("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'");
  const [[status]] = await admin.query<RowDataPacket[]>('SHOW ENGINE INNODB STATUS');
  const shown = new Set<number>();
  for (const transaction of String(status?.Status).split('---TRANSACTION').slice(1)) {
    const [, thread] = /(?:MySQL|MariaDB) thread id (\d+)/.exec(transaction) ?? [];
    if (thread === undefined || !transaction.includes('LOCK WAIT')) continue;
    shown.add(Number(thread));
    if (threadIds.includes(Number(thread))) waiting.add(Number(thread));
  }

  const unseen = threadIds.filter((threadId) => !waiting.has(threadId));
  // A bystander that is not shown may be one of those that were counted: too few is a second look, too many an error.
  const apart = bystanders.filter((threadId) => !threadIds.includes(threadId) && !shown.has(threadId));
  if (unseen.length <= Number(count?.Value) - shown.size - apart.length)
    for (const threadId of unseen) waiting.add(threadId);
  return waiting;
}

/** How long GET_LOCK in this statement waits at most, ms; undefined when the statement has none. Without a limit it is `Infinity`. */
export function namedLockLimitMs(sql: string): number | undefined {
  const [, seconds] = /\bGET_LOCK\s*\(.*?,\s*'?(-?[\d.]+)'?\s*\)/i.exec(sql) ?? [];
  if (seconds === undefined) return undefined;
  return Number(seconds) < 0 ? Infinity : Number(seconds) * 1000;
}
