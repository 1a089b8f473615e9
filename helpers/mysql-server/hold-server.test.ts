import { expect, inject, test } from 'vitest';
import { holdServer } from './hold-server.ts';
import '../instruments/mysql/use-test-database.ts';

test('one judge has a server at a time, and the next one gets it after that', async () => {
  const server = inject('mysqlServers')[0]!;
  const order: string[] = [];
  const hold = await holdServer(server);
  await expect(holdServer(server, 0)).rejects.toThrow(
    `Another judge has had the MySQL on ${server.host}:${server.port} for 0 seconds`,
  );

  const next = holdServer(server).then(async (other) => {
    order.push('the next one has it');
    await other[Symbol.asyncDispose]();
  });
  order.push('the first one is done');
  await hold[Symbol.asyncDispose]();
  await next;

  expect(order).toEqual(['the first one is done', 'the next one has it']);
});
