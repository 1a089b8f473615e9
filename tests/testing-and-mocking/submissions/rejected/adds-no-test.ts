/*
breaks: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
why: suite creates checkouts and pays, but it does so outside of test. Nothing waits for the results.
ask: How would you notice that a test file runs no test?
*/
import { type Dispatcher, MockAgent } from 'undici';
import type { CreateCheckout, Line, Order } from '../../../../katas/testing-and-mocking/checkout.ts';
import type * as Starter from '../../../../katas/testing-and-mocking/testing-and-mocking.ts';

const gateway = 'https://gateway.example';
const expiresAt = 1_800_000_000_000;
const now = () => expiresAt - 1;

/** What the gateway does with a request: a status, or a broken connection. */
type Answer = number | 'breaks';

interface Charge {
  readonly path: string;
  readonly method: string;
  readonly key: string | undefined;
  readonly body: unknown;
}

/** A gateway that gives these answers, one for each request, and records what it was asked. It never uses the network. */
class FakeGateway extends MockAgent {
  readonly charges: Charge[] = [];

  constructor(...answers: Answer[]) {
    super();
    this.disableNetConnect();
    for (const [at, answer] of answers.entries()) {
      const charge = this.get(gateway).intercept({ path: '/charges', method: 'POST' });
      if (answer === 'breaks') charge.replyWithError(new Error('The connection broke.'));
      else charge.reply(answer, answer === 201 ? { id: `charge-${at + 1}` } : 'no');
    }
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const { path, method, headers, body } = options;
    const key = (headers as Record<string, string> | undefined)?.['idempotency-key'];
    this.charges.push({ path, method, key, body: JSON.parse(body as string) });
    return super.dispatch(options, handler);
  }
}

/** Adds the tests of a checkout: what a customer pays, what the gateway is asked, and what is refused. */
export function suite(createCheckout: CreateCheckout, { test, assert }: Starter.Tools): void {
  const checkout = createCheckout({ gateway, dispatcher: new FakeGateway(201), now });
  test('a checkout can be created', () => assert.ok(checkout));
  void checkout.pay(orderOf()).then(({ amountCents }) => assert.equal(amountCents, 1_500));
}

function line(unitCents: number, quantity = 1): Line {
  return { sku: 'tea', unitCents, quantity };
}

function orderOf(fields: Partial<Order> = {}): Order {
  return { id: 'order-1', lines: [line(1_000)], ...fields };
}

({ suite }) satisfies typeof Starter;
