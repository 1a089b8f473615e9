import { randomBytes } from 'node:crypto';
import { type Connection, type RowDataPacket, createConnection } from 'mysql2/promise';
import { leash } from '../foundations/processes/leash.ts';
import { preparedTransactions, removeDatabase } from '../foundations/processes/remove-database.js';
import type { ServerAddress } from '../foundations/server-address.ts';
import { readServerSettings } from './server-settings.ts';
import { accountStatements, newPassword } from './test-account.ts';

/** How long a server that is reached may take to let a session in. */
const connectLimitMs = 60_000;

/**
 * Does once, on a server that is somebody's, what a judge will do there, and takes it back.
 * @returns why no judge can work there and what to do, or undefined when one can
 */
export async function tryServer(server: ServerAddress): Promise<{ why: string; remedy: string } | undefined> {
  const { host, port, user, password } = server;
  const place = `the server at ${host}:${port}`;
  const admin = await createConnection({ host, port, user, password, connectTimeout: connectLimitMs });
  admin.on('error', () => undefined);
  try {
    const { statement, amiss } = await readServerSettings(admin);
    if (amiss.length > 0) {
      return {
        why: `${place} has ${amiss.join(' and ')}, under which verdicts would be wrong`,
        remedy: 'Change that setting, or use another server.',
      };
    }
    const fault = await tryAccount(admin, server, statement);
    return fault === undefined
      ? undefined
      : {
          why: `${place} does not let ${user} do what a judge must (${fault.replace(/\.$/, '')})`,
          remedy: 'Name an account that may create databases and accounts, such as root.',
        };
  } finally {
    admin.destroy();
  }
}

/** Makes a database and an account, logs in with it, and ends its session. */
async function tryAccount(
  admin: Connection,
  { host, port, user, password }: ServerAddress,
  statement: string | undefined,
): Promise<string | undefined> {
  const name = `kata_${randomBytes(6).toString('hex')}`;
  const ownPassword = newPassword();
  const preparedBefore = await preparedTransactions(admin);
  const url = `mysql://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${host.includes(':') ? `[${host}]` : host}:${port}/`;
  const release = leash({ database: name, server: url, preparedBefore });
  let session: Connection | undefined;
  let doing = '';
  const does = async (sql: string): Promise<unknown> => {
    doing = sql.replace(ownPassword, '…');
    return (await admin.query(sql))[0];
  };
  try {
    for (const sql of accountStatements(name, ownPassword)) await does(sql);
    for (const sql of ['SHOW FULL PROCESSLIST', 'SHOW ENGINE INNODB STATUS']) await does(sql);
    doing = 'the log-in of a new account';
    session = await createConnection({
      host,
      port,
      user: name,
      password: ownPassword,
      database: name,
      connectTimeout: connectLimitMs,
    });
    session.on('error', () => undefined);
    doing = 'the settings of a session';
    if (statement !== undefined) await session.query(statement);
    const [[row]] = await session.query<RowDataPacket[]>('SELECT @@character_set_client AS charset');
    if (row!['charset'] !== 'utf8mb4') return `sessions speak ${row!['charset']} instead of utf8mb4`;
    await does(`KILL ${session.threadId}`);
    return undefined;
  } catch (error) {
    return `${doing}: ${(error as Error).message}`;
  } finally {
    session?.destroy();
    await removeDatabase(admin, name, preparedBefore).then(release, () => undefined);
  }
}
