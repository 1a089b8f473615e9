import { createConnection, createPool } from 'mysql2/promise';
import { afterAll, expect, inject, onTestFinished, test } from 'vitest';
import { holdServer } from '../../mysql-server/hold-server.ts';
import type { MysqlProxy } from './proxy.ts';
import { type Session, explore, standstillOf } from './schedule-explorer.ts';
import { TestDatabase } from './test-database.ts';
import './use-test-database.ts';

// The explorer reads what the server tells of the locks of all its sessions.
const server = await holdServer(inject('mysqlServers')[0]!);
afterAll(() => server[Symbol.asyncDispose]());

// The explorer before a real server; the sessions are pools of this process instead of a subject's.

test('finds the lost update of a read and a write, and draws its timeline', async () => {
  const { a, b, schedules } = await sessions();
  const naive = async (session: Party) => {
    const [[row]] = await session.pool.query<any[]>("SELECT value FROM counters WHERE id = 'a'");
    await session.pool.execute('UPDATE counters SET value = ? WHERE id = ?', [row.value + 1, 'a']);
  };

  const seen = await schedules(
    () => naive(a),
    () => naive(b),
  );

  expect(seen.map(({ step, standstill, value }) => [step, standstill, value])).toEqual([
    [1, 'done', 101],
    [2, 'done', 102],
  ]);
  expect(seen[0]!.timeline).toMatchInlineSnapshot(`
    "A                                     | B
    SELECT value FROM counters WHERE id = |
    'a' → 100                             |
    [its answer is withheld]              |
                                          | SELECT value FROM counters WHERE id =
                                          | 'a' → 100
                                          | UPDATE counters SET value = 101 WHERE
                                          | id = 'a' → 1 row
    [gets its answer]                     |
    UPDATE counters SET value = 101 WHERE |
    id = 'a' → 1 row                      |"
  `);
});

test('judges a call that asks nothing of the server, too', async () => {
  const { schedules } = await sessions();

  const seen = await schedules(
    async () => 101,
    async () => 102,
  );

  expect(seen.map(({ step, command, first, others, value }) => [step, command, first, others, value])).toEqual([
    [1, 'none', 101, 102, 100],
  ]);
});

test('sees each kind of lock that another call waits for, and nothing is lost', async () => {
  const { a, b, schedules } = await sessions();
  const kinds: [kind: string, before: string[], read: string, after: string[]][] = [
    ['a row lock', ['BEGIN'], "SELECT value FROM counters WHERE id = 'a' FOR UPDATE", ['COMMIT']],
    ['a named lock', ["DO GET_LOCK('a', 30)"], "SELECT value FROM counters WHERE id = 'a'", ["DO RELEASE_LOCK('a')"]],
    ['a table lock', ['LOCK TABLES counters WRITE'], "SELECT value FROM counters WHERE id = 'a'", ['UNLOCK TABLES']],
  ];

  for (const [kind, before, read, after] of kinds) {
    const locked = async ({ pool }: Party) => {
      const connection = await pool.getConnection();
      for (const statement of before) await connection.query(statement);
      const [[row]] = await connection.query<any[]>(read);
      await connection.query('UPDATE counters SET value = ? WHERE id = ?', [row.value + 1, 'a']);
      for (const statement of after) await connection.query(statement);
      connection.release();
    };
    const seen = await schedules(
      () => locked(a),
      () => locked(b),
    );
    expect(
      seen.map(({ standstill }) => standstill),
      kind,
    ).toContain('waiting for a lock');
    expect(
      seen.map(({ value }) => value),
      kind,
    ).toEqual(seen.map(() => 102));
  }
});

test('sees a wait for a shared lock, which InnoDB’s monitor leaves out', async () => {
  const { a, b, admin } = await sessions();
  const holder = await a.pool.getConnection();
  await holder.query('BEGIN');
  await holder.query("UPDATE counters SET value = 1 WHERE id = 'a'");

  const reader = await b.pool.getConnection();
  await reader.query('SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE');
  await reader.query('BEGIN');
  const read = reader.query("SELECT value FROM counters WHERE id = 'a'");

  expect(await standstillOf(read, b, admin)).toBe('waiting for a lock');
  await holder.query('ROLLBACK');
  expect(await standstillOf(read, b, admin)).toBe('done');
  reader.release();
  holder.release();
});

test('takes a call that tries again and again with NOWAIT for one that cannot go on', async () => {
  const { a, b, schedules } = await sessions();
  const nowait = async ({ pool }: Party) => {
    for (;;) {
      const connection = await pool.getConnection();
      try {
        await connection.query('BEGIN');
        await connection.query("SELECT value FROM counters WHERE id = 'a' FOR UPDATE NOWAIT");
        await connection.query("UPDATE counters SET value = value + 1 WHERE id = 'a'");
        await connection.query('COMMIT');
        return;
      } catch {
        await connection.query('ROLLBACK');
      } finally {
        connection.release();
      }
    }
  };

  const passed: number[] = [];
  const seen = await schedules(
    () => nowait(a),
    () => nowait(b),
    async (...args) => {
      const before = b.proxy.activity;
      const standstill = await standstillOf(...args);
      passed.push(b.proxy.activity - before);
      return standstill;
    },
  );

  expect(seen.map(({ standstill }) => standstill)).toContain('trying again');
  expect(Math.max(...passed), 'packets before the first call could go on').toBeLessThanOrEqual(402);
  expect(seen.map(({ value }) => value)).toEqual(seen.map(() => 102));
});

test('takes a queue inside the process for idle, and a slow statement for neither idle nor waiting', async () => {
  const { a, admin } = await sessions();
  const never = new Promise<void>(() => undefined);

  expect(await standstillOf(never, a, admin)).toBe('idle');
  expect(await standstillOf(a.pool.query('SELECT SLEEP(0.3)'), a, admin)).toBe('done');
});

test('a session that fails is heard, and the withheld answer is let go', async () => {
  const { a, b, admin, reset } = await sessions();

  const exploration = explore({
    first: { ...a, call: () => a.pool.query('SELECT 1') },
    others: { ...b, call: () => Promise.reject(new Error('gone')) },
    admin,
    reset,
  });

  await expect(exploration.next()).rejects.toThrow('gone');
  expect(await a.pool.query('SELECT 2').then(() => 'answered')).toBe('answered');
});

test('holds a statement before the server runs it, and sees a call that does not wait for it', async () => {
  const { a, b, admin, reset } = await sessions();
  const value = async (by: Pick<Party['pool'], 'query'> = admin) => {
    const [[row]] = await by.query<any[]>("SELECT value FROM counters WHERE id = 'a'");
    return row.value as number;
  };
  const increment = async (isAwaited: boolean) => {
    const statement = a.pool.query("UPDATE counters SET value = value + 1 WHERE id = 'a'");
    // The call that does not wait for it does not hear of its end either.
    statement.catch(() => undefined);
    if (isAwaited) await statement;
    return 'returned';
  };

  const seen = [];
  for (const isAwaited of [true, false]) {
    for await (const { at, early, others } of explore({
      first: { ...a, call: () => increment(isAwaited) },
      others: { ...b, call: () => value(b.pool) },
      admin,
      reset,
      points: ['before'],
      whenAnswered: () => value(),
    }))
      seen.push({ isAwaited, at, early, others });
  }

  expect(seen).toEqual([
    { isAwaited: true, at: 'before', early: undefined, others: 100 },
    { isAwaited: false, at: 'before', early: 100, others: 100 },
  ]);
});

test('a connection that is dropped before the server has the statement never runs it', async () => {
  const { a, admin } = await sessions();

  const hold = a.proxy.holdCommand(1, 'before');
  const failed = a.pool.query("UPDATE counters SET value = 7 WHERE id = 'a'").catch((error: Error) => error.message);
  const command = await hold.reached;
  hold.drop();

  expect(command.sql).toContain('SET value = 7');
  expect(await failed).toMatch(/closed|lost/i);
  const [[row]] = await admin.query<any[]>("SELECT value FROM counters WHERE id = 'a' FOR UPDATE");
  expect(row.value).toBe(100);
});

test('prepared statements, large answers, several statements and errors pass unharmed and are told', async () => {
  const { a, b, admin, reset } = await sessions({ multipleStatements: true });
  const rows =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT i, REPEAT('x', 8000) FROM n";
  let big: unknown[] = [];

  const seen = [];
  for await (const schedule of explore({
    first: {
      ...a,
      call: async () => {
        await a.pool.execute('SELECT ? AS n, ? AS t', [12, 'it’s']);
        [big] = await a.pool.query<any[]>(rows);
        await a.pool.query('SELECT 1; SELECT 2');
        return await a.pool.query('SELECT nonsense').catch((error: Error) => error.message);
      },
    },
    others: { ...b, call: async () => undefined },
    admin,
    reset,
  })) {
    seen.push(schedule);
    expect(big).toHaveLength(900);
    expect(schedule.first).toContain("Unknown column 'nonsense'");
  }

  expect(seen.map(({ command }) => command.slice(0, 24))).toEqual([
    "SELECT 12 AS n, 'it’s' A",
    'WITH RECURSIVE n (i) AS ',
    'SELECT 1; SELECT 2',
    'SELECT nonsense',
  ]);
  expect(seen[0]!.timeline).toContain("→ (12, 'it’s')");
  expect(seen[0]!.timeline.replace(/\s+/g, ' ')).toContain('→ 900 rows');
  expect(seen[0]!.timeline).toContain('error 1054');
});

test('the proxy’s own statement runs on each connection before the client gets it, and an error can be withheld', async () => {
  const { database } = await sessions();
  const proxy = await database.proxy('C', 'SET SESSION innodb_lock_wait_timeout = 7');
  onTestFinished(() => proxy[Symbol.asyncDispose]());
  const connection = await createConnection(database.accountOptions(proxy));
  onTestFinished(() => connection.destroy());

  const [[row]] = await connection.query<any[]>('SELECT @@innodb_lock_wait_timeout AS seconds');
  const hold = proxy.holdError([1054]);
  const failed = connection.query('SELECT nonsense').catch((error: Error) => error.message);
  const command = await hold.reached;
  hold.release();

  expect(row.seconds).toBe(7);
  expect(command).toMatchObject({ sql: 'SELECT nonsense', errno: 1054 });
  expect(await failed).toContain('nonsense');
});

interface Party extends Session {
  readonly proxy: MysqlProxy;
  readonly pool: ReturnType<typeof createPool>;
}

async function sessions(options: { multipleStatements?: boolean } = {}) {
  const database = await TestDatabase.create(inject('mysqlServers')[0]!, 'race-condition');
  onTestFinished(() => database[Symbol.asyncDispose]());
  const { admin } = database;
  await admin.query("INSERT INTO counters VALUES ('a', 100), ('b', 100)");
  const reset = async () => {
    await admin.query('UPDATE counters SET value = 100');
  };
  const open = async (name: string): Promise<Party> => {
    const proxy = await database.proxy(name);
    onTestFinished(() => proxy[Symbol.asyncDispose]());
    const pool = createPool({ ...database.accountOptions(proxy), ...options });
    onTestFinished(() => pool.end().catch(() => undefined));
    await pool.query('SELECT 1');
    return { proxy, pool, subject: { turns: async (count) => await turns(count) } };
  };
  const [a, b] = [await open('A'), await open('B')];
  const schedules = async (
    first: () => Promise<unknown>,
    others: () => Promise<unknown>,
    standstill = standstillOf,
  ) => {
    const seen = [];
    for await (const schedule of explore({
      first: { ...a, call: first },
      others: { ...b, call: others },
      admin,
      reset,
      standstill,
    })) {
      const [[row]] = await admin.query<any[]>("SELECT value FROM counters WHERE id = 'a'");
      seen.push({ ...schedule, value: row.value as number });
    }
    return seen;
  };
  return { a, b, admin, database, reset, schedules };
}

async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left--) await new Promise((resolve) => setImmediate(resolve));
}
