import type { Connection, RowDataPacket } from 'mysql2/promise';

/**
 * Which of these server threads wait for a lock just now: a row or table lock, a metadata lock, or one of GET_LOCK.
 * It asks SHOW FULL PROCESSLIST and SHOW ENGINE INNODB STATUS, which tell the state of this moment; innodb_trx is up
 * to 100 ms old, and the performance schema is switched off.
 */
export async function waitingThreads(admin: Connection, threadIds: readonly number[]): Promise<Set<number>> {
  const waiting = new Set<number>();
  const [sessions] = await admin.query<RowDataPacket[]>('SHOW FULL PROCESSLIST');
  for (const { Id, State } of sessions) {
    if (threadIds.includes(Id as number) && /^(User lock|Waiting for)/i.test((State as string | null) ?? '')) waiting.add(Id as number);
  }
  const [[status]] = await admin.query<RowDataPacket[]>('SHOW ENGINE INNODB STATUS');
  for (const transaction of String(status?.Status).split('---TRANSACTION').slice(1)) {
    const [, thread] = /(?:MySQL|MariaDB) thread id (\d+)/.exec(transaction) ?? [];
    if (thread !== undefined && transaction.includes('LOCK WAIT') && threadIds.includes(Number(thread))) waiting.add(Number(thread));
  }
  return waiting;
}
