import { MockAgent, setGlobalDispatcher } from 'undici';
import type { CreateCheckout, Order } from './checkout.ts';

/** What most tests need of `node:assert/strict`. You can import the rest from there. */
export interface Assert {
  ok(value: unknown, message?: string): void;
  equal(actual: unknown, expected: unknown, message?: string): void;
  notEqual(actual: unknown, expected: unknown, message?: string): void;
  deepEqual(actual: unknown, expected: unknown, message?: string): void;
  match(text: string, expected: RegExp, message?: string): void;
  rejects(call: Promise<unknown> | (() => Promise<unknown>), expected?: object, message?: string): Promise<void>;
  fail(message?: string): never;
}

export interface Tools {
  /** Adds a test. The tests run one after the other when `suite` has ended. */
  test(name: string, run: () => void | Promise<void>): void;
  assert: Assert;
}

const gateway = 'https://gateway.example';
const order: Order = {
  id: 'order-1',
  lines: [
    { sku: 'tea', unitCents: 1_250, quantity: 2 },
    { sku: 'cup', unitCents: 900, quantity: 1 },
  ],
};

/** Adds the tests of a checkout. */
export function suite(createCheckout: CreateCheckout, { test, assert }: Tools): void {
  test('pays an order', async () => {
    const agent = new MockAgent();
    setGlobalDispatcher(agent);
    agent
      .get(gateway)
      .intercept({ path: '/charges', method: 'POST' })
      .reply(201, { id: 'charge-1' }, { headers: { 'content-type': 'application/json' } });
    const checkout = createCheckout({ gateway });

    const receipt = checkout.pay(order);

    assert.ok(receipt);
  });
}
