import { createPool } from 'mysql2/promise';
import { afterAll, expect, inject, onTestFinished, test } from 'vitest';
import { holdServer } from '../../mysql-server/hold-server.ts';
import { inStep } from './in-step.ts';
import { TestDatabase } from './test-database.ts';
import './use-test-database.ts';

const server = await holdServer(inject('mysqlServers')[0]!);
afterAll(() => server[Symbol.asyncDispose]());

test('lets two calls go on a statement each, so that both read the same value', async () => {
  const { admin, parties } = await partiesOf(['A', 'B']);
  const calls = parties.map(({ pool, proxy }) => ({
    proxy,
    async call() {
      const [[row]] = await pool.query<any[]>("SELECT value FROM counters WHERE id = 'a'");
      await pool.query("UPDATE counters SET value = ? WHERE id = 'a'", [row.value + 1]);
      return row.value as number;
    },
  }));

  const { outcomes, timeline } = await inStep({ admin, calls });

  expect(outcomes).toEqual([100, 100]);
  expect(timeline).toMatchInlineSnapshot(`
    "A                                     | B
    SELECT value FROM counters WHERE id = |
    'a' → 100                             |
    [its answer is withheld]              |
                                          | SELECT value FROM counters WHERE id =
                                          | 'a' → 100
                                          | [its answer is withheld]
    [gets its answer]                     |
    UPDATE counters SET value = 101 WHERE |
    id = 'a' → 1 row                      |
    [its answer is withheld]              |
                                          | [gets its answer]
                                          | UPDATE counters SET value = 101 WHERE
                                          | id = 'a' → 1 row
                                          | [its answer is withheld]
    [gets its answer]                     |
                                          | [gets its answer]"
  `);
});

test('a call that was ended by a deadlock is in the way again before the one that won goes on', async () => {
  const { admin, parties } = await partiesOf(['A', 'B', 'C', 'D', 'E']);
  const calls = parties.map(({ pool, proxy }) => ({
    proxy,
    async call() {
      for (let deadlocks = 0; ; deadlocks++) {
        const connection = await pool.getConnection();
        try {
          await connection.query('START TRANSACTION');
          await connection.query("INSERT INTO counters VALUES ('new', 0)");
          await connection.query('SELECT 1');
          return deadlocks;
        } catch (error) {
          if ((error as { errno?: number }).errno !== 1213) throw error;
        } finally {
          await connection.query('ROLLBACK');
          connection.release();
        }
      }
    },
  }));

  const { outcomes } = await inStep({ admin, calls });

  // The first one has the key; of those that wait, all but one lose at each rollback.
  expect(outcomes.toSorted((one, other) => one - other)).toEqual([0, 0, 1, 2, 3]);
});

/** A pool behind a proxy for each name. */
async function partiesOf(names: readonly string[]) {
  const database = await TestDatabase.create(inject('mysqlServers')[0]!, 'race-condition');
  onTestFinished(() => database[Symbol.asyncDispose]());
  await database.admin.query("INSERT INTO counters VALUES ('a', 100), ('z', 100)");
  const parties = [];
  for (const name of names) {
    const proxy = await database.proxy(name);
    onTestFinished(() => proxy[Symbol.asyncDispose]());
    const pool = createPool(database.accountOptions(proxy));
    onTestFinished(() => pool.end().catch(() => undefined));
    await pool.query('SELECT 1');
    parties.push({ proxy, pool });
  }
  return { admin: database.admin, parties };
}
