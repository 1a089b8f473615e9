import { afterAll, expect, test } from 'vitest';
import { useTestDatabase } from '../../instruments/mysql/use-test-database.ts';

// A test file that needs a database and does next to nothing with it: what such a file costs by itself.

const database = await useTestDatabase('race-condition', afterAll);

test('has a database of its own', async () => {
  const [rows] = await database.admin.query('SELECT COUNT(*) AS n FROM counters');

  expect(rows).toEqual([{ n: 0 }]);
});
