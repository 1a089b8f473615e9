import type { RowDataPacket } from 'mysql2/promise';
import type { MysqlServer } from '../../mysql-server/source.ts';
import type { TestDatabase } from '../../instruments/mysql/test-database.ts';

/** What a person is told before the first prompt: the server, the tables, the URL, and a first statement to try. */
export async function greeting(
  server: MysqlServer,
  database: TestDatabase,
  slug: string,
  port: number | undefined,
): Promise<string> {
  const [columns] = await database.admin.query<RowDataPacket[]>(
    'SELECT table_name AS tableName, column_name AS name, column_type AS type, extra FROM information_schema.columns WHERE table_schema = ? ORDER BY table_name, ordinal_position',
    [database.name],
  );
  const tables = Map.groupBy(columns as Column[], ({ tableName }) => tableName);
  const lines = [
    `${server.flavour === 'mysql' ? 'MySQL' : 'MariaDB'} ${server.version} (${server.source}), with the tables of ${slug}:`,
    ...[...tables].map(([table, own]) => `  ${table} (${own.map(({ name, type }) => `${name} ${type}`).join(', ')})`),
    '',
    'For any client, until you leave:',
    clientUrl(server, database, port),
    '',
  ];
  const [first] = tables;
  if (first) lines.push('To begin with:', `  ${exampleInsert(...first)}`, '');
  lines.push('Two sessions: \\2 goes to the second, \\1 back. \\help tells more, \\q leaves.');
  return lines.join('\n');
}

interface Column {
  readonly tableName: string;
  readonly name: string;
  readonly type: string;
  readonly extra: string;
}

function clientUrl(server: MysqlServer, database: TestDatabase, port: number | undefined): string {
  const { host, port: ownPort, user, password } = database.accountOptions();
  const place = port === undefined ? `${host.includes(':') ? `[${host}]` : host}:${ownPort}` : `127.0.0.1:${port}`;
  return `mysql://${user}:${password}@${place}/${database.name}`;
}

function exampleInsert(table: string, columns: readonly Column[]): string {
  const given = columns.filter(({ extra }) => !/auto_increment|generated/i.test(extra));
  return `INSERT INTO ${table} (${given.map(({ name }) => name).join(', ')}) VALUES (${given.map(({ type }) => exampleValue(type)).join(', ')});`;
}

function exampleValue(type: string): string {
  const [, firstOfMany] = /^(?:enum|set)\(('.*?')[,)]/i.exec(type) ?? [];
  if (firstOfMany) return firstOfMany;
  if (/^(datetime|timestamp)/i.test(type)) return 'NOW()';
  if (/^date/i.test(type)) return 'CURRENT_DATE';
  if (/^time/i.test(type)) return 'CURRENT_TIME';
  if (/^json/i.test(type)) return "'{}'";
  if (/int|decimal|float|double/i.test(type)) return /^tinyint/i.test(type) ? '1' : '100';
  if (/char|text/i.test(type)) return "'a'";
  return 'NULL';
}
