/*
breaks: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
why: The gateway is a real HTTP server on a free port. The judge lets nobody listen, so no order is paid.
ask: What does a real server in a unit test cost, and what does it find that a mock cannot?
*/
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CreateCheckout } from '../../../../katas/testing-and-mocking/checkout.ts';
import type { Tools } from '../../../../katas/testing-and-mocking/testing-and-mocking.ts';

export function suite(createCheckout: CreateCheckout, { test, assert }: Tools): void {
  test('pays an order', async () => {
    const server = createServer((_request, response) => response.writeHead(201).end('{"id":"charge-1"}'));
    server.listen(0);
    await once(server, 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      const checkout = createCheckout({ gateway: `http://localhost:${port}` });
      const receipt = await checkout.pay({ id: 'a', lines: [{ sku: 'tea', unitCents: 1_000, quantity: 1 }] });
      assert.equal(receipt.amountCents, 1_500);
    } finally {
      server.close();
    }
  });
}
