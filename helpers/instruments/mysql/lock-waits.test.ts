import { expect, test } from 'vitest';
import { namedLockLimitMs } from './lock-waits.ts';

test.for([
  ["SELECT GET_LOCK('a', 2) AS got", 2_000],
  ["DO get_lock ( CONCAT('a', 1, 'b'), 0.5 )", 500],
  ["SELECT GET_LOCK('a', '3')", 3_000],
  ["SELECT GET_LOCK('a', -1)", Infinity],
  ["SELECT GET_LOCK('a', 10), RELEASE_LOCK('b')", 10_000],
  ["SELECT RELEASE_LOCK('a'), 2", undefined],
  ['SELECT GET_LOCK(@name, @seconds)', undefined],
] as const)('the limit in %s', ([sql, limitMs]) => {
  expect(namedLockLimitMs(sql)).toBe(limitMs);
});
