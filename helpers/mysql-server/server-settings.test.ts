// Path: server-settings.ts. Window: settings of servers that nobody here has started.
// Invariant: what a session can set for itself is set, what it cannot is named with the value that it must have.
import { expect, test } from 'vitest';
import { adviceOn } from './server-settings.ts';

const good = {
  autocommit: 'ON',
  transaction_isolation: 'REPEATABLE-READ',
  innodb_lock_wait_timeout: '50',
  sql_mode:
    'NO_ENGINE_SUBSTITUTION,ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO',
  max_allowed_packet: '67108864',
  max_connections: '151',
  max_user_connections: '0',
  read_only: 'OFF',
  innodb_rollback_on_timeout: 'OFF',
  log_bin: 'ON',
  binlog_format: 'ROW',
  init_connect: '',
};

const advise = (changed: Record<string, string> = {}) => adviceOn(new Map(Object.entries({ ...good, ...changed })));

test('a server with the settings of MySQL is left as it is', () => {
  expect(advise()).toEqual({ statement: undefined, amiss: [] });
});

test.for([
  ['innodb_snapshot_isolation', 'ON', "SET @@SESSION.innodb_snapshot_isolation = 'OFF'"],
  ['tx_isolation', 'READ-COMMITTED', "SET @@SESSION.tx_isolation = 'REPEATABLE-READ'"],
  ['autocommit', 'OFF', "SET @@SESSION.autocommit = 'ON'"],
  ['innodb_lock_wait_timeout', '1', 'SET @@SESSION.innodb_lock_wait_timeout = 50'],
  ['max_statement_time', '2.500000', 'SET @@SESSION.max_statement_time = 0'],
] as const)('%s = %s is set for each session', ([name, value, statement]) => {
  expect(advise({ [name]: value })).toEqual({ statement, amiss: [] });
});

test('several settings are one statement', () => {
  const { statement } = advise({ autocommit: 'OFF', sql_mode: 'ANSI_QUOTES' });

  expect(statement).toMatch(
    /^SET @@SESSION\.autocommit = 'ON', @@SESSION\.sql_mode = CONCAT\(.*'ONLY_FULL_GROUP_BY,\S+'\)$/,
  );
});

test('where the server runs a statement for each session, everything is set again', () => {
  const { statement } = advise({ init_connect: 'SET autocommit = 0' });

  expect(statement).toContain("@@SESSION.autocommit = 'ON'");
});

test.for([
  ['max_connections', '12', 'max_connections = 12 (it must be at least 100)'],
  ['max_user_connections', '5', 'max_user_connections = 5 (it must be at least 100)'],
  ['max_allowed_packet', '1048576', 'max_allowed_packet = 1048576 (it must be at least 16777216)'],
  ['read_only', 'ON', 'read_only = ON (it must be OFF)'],
  ['innodb_rollback_on_timeout', 'ON', 'innodb_rollback_on_timeout = ON (it must be OFF)'],
  ['binlog_format', 'STATEMENT', 'binlog_format = STATEMENT (it must be ROW or MIXED)'],
] as const)('%s = %s is named', ([name, value, words]) => {
  expect(advise({ [name]: value })).toEqual({ statement: undefined, amiss: [words] });
});
