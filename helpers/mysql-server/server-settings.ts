import type { Connection, RowDataPacket } from 'mysql2/promise';

/** What has to be done about the settings of a server before a judge may work there. */
export interface SettingsAdvice {
  /** A statement that gives a session what the server's own settings do not; undefined when nothing is amiss. */
  readonly statement: string | undefined;
  /** Each setting that no session can change for itself and under which verdicts would be wrong, with what it has to be. */
  readonly amiss: readonly string[];
}

/** A value that a setting must have, or the least that it may be. */
type Wanted = string | number | { readonly atLeast: number };

const sqlModes =
  'ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION';
/** A client, such as mysql2, may have asked for one mode of its own. */
const sqlMode = `CONCAT(IF(FIND_IN_SET('IGNORE_SPACE', @@SESSION.sql_mode), 'IGNORE_SPACE,', ''), '${sqlModes}')`;

/**
 * What a session of the judge's or of the module's needs, on MySQL and on MariaDB; a setting that a server does not know is
 * left out there. A number that is 0 means "no limit" in all of these.
 */
const ofSession: Readonly<Record<string, Wanted>> = {
  autocommit: 'ON',
  completion_type: 'NO_CHAIN',
  transaction_isolation: 'REPEATABLE-READ',
  tx_isolation: 'REPEATABLE-READ',
  transaction_read_only: 'OFF',
  tx_read_only: 'OFF',
  innodb_snapshot_isolation: 'OFF',
  innodb_lock_wait_timeout: { atLeast: 50 },
  innodb_table_locks: 'ON',
  lock_wait_timeout: { atLeast: 3_600 },
  sql_mode: sqlModes,
  sql_safe_updates: 'OFF',
  sql_auto_is_null: 'OFF',
  sql_select_limit: '18446744073709551615',
  foreign_key_checks: 'ON',
  unique_checks: 'ON',
  auto_increment_increment: 1,
  auto_increment_offset: 1,
  default_storage_engine: 'InnoDB',
  max_statement_time: 0,
  max_execution_time: 0,
  idle_transaction_timeout: 0,
  idle_readonly_transaction_timeout: 0,
  idle_write_transaction_timeout: 0,
  wait_timeout: { atLeast: 3_600 },
  interactive_timeout: { atLeast: 3_600 },
  net_read_timeout: { atLeast: 30 },
  net_write_timeout: { atLeast: 60 },
};

/** What holds for the whole server: it is the owner's to change. */
const ofServer: Readonly<Record<string, Wanted>> = {
  read_only: 'OFF',
  super_read_only: 'OFF',
  innodb_read_only: 'OFF',
  offline_mode: 'OFF',
  wsrep_on: 'OFF',
  innodb_deadlock_detect: 'ON',
  innodb_rollback_on_timeout: 'OFF',
  max_allowed_packet: { atLeast: 16 * 1024 ** 2 },
  max_connections: { atLeast: 100 },
  max_user_connections: { atLeast: 100 },
  max_prepared_stmt_count: { atLeast: 1_000 },
};

/** Reads the settings of the server that `connection` is on, as a new session finds them. */
export async function readServerSettings(connection: Connection): Promise<SettingsAdvice> {
  const names = [...Object.keys(ofSession), ...Object.keys(ofServer), 'init_connect', 'log_bin', 'binlog_format'];
  const [rows] = await connection.query<RowDataPacket[]>('SHOW GLOBAL VARIABLES WHERE Variable_name IN (?)', [names]);
  return adviceOn(new Map(rows.map((row) => [String(row['Variable_name']), String(row['Value'])])));
}

/** The advice on settings that a server has told of. */
export function adviceOn(values: ReadonlyMap<string, string>): SettingsAdvice {
  // What is run for each new session may change any of them, and is not read here.
  const isGreeted = Boolean(values.get('init_connect'));
  const assignments: string[] = [];
  for (const [name, wanted] of Object.entries(ofSession)) {
    const value = values.get(name);
    if (value === undefined || (!isGreeted && fits(name, value, wanted))) continue;
    assignments.push(`@@SESSION.${name} = ${name === 'sql_mode' ? sqlMode : literal(wanted)}`);
  }
  const amiss = Object.entries(ofServer).flatMap(([name, wanted]) => {
    const value = values.get(name);
    if (value === undefined || fits(name, value, wanted)) return [];
    return [`${name} = ${value} (it must be ${typeof wanted === 'object' ? `at least ${wanted.atLeast}` : wanted})`];
  });
  // It refuses statements of a transaction at READ COMMITTED.
  if (values.get('log_bin') === 'ON' && values.get('binlog_format') === 'STATEMENT')
    amiss.push('binlog_format = STATEMENT (it must be ROW or MIXED)');
  return { statement: assignments.length === 0 ? undefined : `SET ${assignments.join(', ')}`, amiss };
}

/** Gives a session of the judge's own what the server's settings do not. */
export async function applySettings(session: Connection): Promise<SettingsAdvice> {
  const advice = await readServerSettings(session);
  if (advice.statement !== undefined) await session.query(advice.statement);
  return advice;
}

function fits(name: string, value: string, wanted: Wanted): boolean {
  if (typeof wanted === 'object')
    return Number(value) >= wanted.atLeast || (name === 'max_user_connections' && Number(value) === 0);
  if (typeof wanted === 'number') return Number(value) === wanted;
  if (name !== 'sql_mode') return value.toLowerCase() === wanted.toLowerCase();
  return value.split(',').toSorted().join() === wanted.split(',').toSorted().join();
}

function literal(wanted: Wanted): string {
  if (typeof wanted === 'object') return String(wanted.atLeast);
  return typeof wanted === 'number' || /^\d+$/.test(wanted) ? String(wanted) : `'${wanted}'`;
}
