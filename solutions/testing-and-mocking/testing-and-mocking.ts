import { type Dispatcher, MockAgent } from 'undici';
import type { Coupon, CreateCheckout, Line, Order } from '../../katas/testing-and-mocking/checkout.ts';
import type * as Starter from '../../katas/testing-and-mocking/testing-and-mocking.ts';

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
  const amounts: { what: string; lines: Line[]; percent?: number; amountCents: number }[] = [
    { what: 'lines, quantities and shipping', lines: [line(1_250, 2), line(900)], amountCents: 3_900 },
    { what: 'shipping below 5,000 cents', lines: [line(4_999)], amountCents: 5_499 },
    { what: 'no shipping from 5,000 cents on', lines: [line(5_000)], amountCents: 5_000 },
    { what: 'shipping when the discount leads below 5,000', lines: [line(6_000)], percent: 20, amountCents: 5_300 },
    { what: 'no shipping when 5,000 remain', lines: [line(10_000)], percent: 50, amountCents: 5_000 },
    {
      what: 'a discount that is rounded once',
      lines: [line(104), line(104), line(104)],
      percent: 10,
      amountCents: 781,
    },
    { what: 'half a cent of discount, rounded up', lines: [line(105)], percent: 10, amountCents: 594 },
  ];
  for (const { what, lines, percent, amountCents } of amounts) {
    test(`amount: ${what}`, async () => {
      const dispatcher = new FakeGateway(201);
      const order = orderOf({ lines, ...(percent !== undefined && { coupon: { percent, expiresAt } }) });

      const receipt = await createCheckout({ gateway, dispatcher, now }).pay(order);

      assert.equal(receipt.amountCents, amountCents);
      assert.deepEqual(dispatcher.charges[0]?.body, { orderId: order.id, amountCents });
    });
  }

  test('coupon: valid until the last millisecond, and by the time of the call', async () => {
    let time = expiresAt - 1;
    const coupon: Coupon = { percent: 10, expiresAt };
    const checkout = createCheckout({ gateway, dispatcher: new FakeGateway(201, 201), now: () => time });

    const before = await checkout.pay(orderOf({ id: 'before', lines: [line(1_000)], coupon }));
    time = expiresAt;
    const after = await checkout.pay(orderOf({ id: 'after', lines: [line(1_000)], coupon }));

    assert.deepEqual([before.amountCents, after.amountCents], [1_400, 1_500]);
    assert.deepEqual([before.paidAt, after.paidAt], [expiresAt - 1, expiresAt]);
  });

  test('receipt and request of a paid order', async () => {
    const dispatcher = new FakeGateway(201);

    const receipt = await createCheckout({ gateway, dispatcher, now }).pay(orderOf({ id: 'order-7' }));

    assert.deepEqual(receipt, { orderId: 'order-7', chargeId: 'charge-1', amountCents: 1_500, paidAt: now() });
    assert.deepEqual(dispatcher.charges, [
      { path: '/charges', method: 'POST', key: 'order-7', body: { orderId: 'order-7', amountCents: 1_500 } },
    ]);
  });

  for (const quantity of [0, -1, 1.5]) {
    test(`invalid: a quantity of ${quantity}`, async () => {
      const dispatcher = new FakeGateway(201);
      const order = orderOf({ lines: [line(1_000), line(1_000, quantity)] });

      await assert.rejects(createCheckout({ gateway, dispatcher, now }).pay(order), { code: 'invalid' });
      assert.equal(dispatcher.charges.length, 0);
    });
  }

  test('invalid: no lines', async () => {
    const dispatcher = new FakeGateway(201);

    const payment = createCheckout({ gateway, dispatcher, now }).pay(orderOf({ lines: [] }));

    await assert.rejects(payment, { code: 'invalid' });
    assert.equal(dispatcher.charges.length, 0);
  });

  test('declined: at once', async () => {
    const dispatcher = new FakeGateway(402, 402, 402);

    await assert.rejects(createCheckout({ gateway, dispatcher, now }).pay(orderOf()), { code: 'declined' });
    assert.equal(dispatcher.charges.length, 1);
  });

  for (const outage of [503, 'breaks'] as const) {
    test(`outage (${outage}): the second attempt pays, with the same key`, async () => {
      const dispatcher = new FakeGateway(outage, 201);

      const receipt = await createCheckout({ gateway, dispatcher, now }).pay(orderOf());

      assert.equal(receipt.chargeId, 'charge-2');
      assert.equal(dispatcher.charges.length, 2);
      assert.deepEqual(dispatcher.charges[1], dispatcher.charges[0]);
    });

    test(`outage (${outage}): unavailable after two attempts`, async () => {
      const dispatcher = new FakeGateway(outage, outage, 201);

      await assert.rejects(createCheckout({ gateway, dispatcher, now }).pay(orderOf()), { code: 'unavailable' });
      assert.equal(dispatcher.charges.length, 2);
    });
  }

  test('repetition: an order is charged once, at the same time and later', async () => {
    const dispatcher = new FakeGateway(201, 201, 201);
    const checkout = createCheckout({ gateway, dispatcher, now });

    const together = await Promise.all([checkout.pay(orderOf()), checkout.pay(orderOf())]);
    const later = await checkout.pay(orderOf());

    assert.deepEqual(
      [...together, later].map(({ chargeId }) => chargeId),
      ['charge-1', 'charge-1', 'charge-1'],
    );
    assert.equal(dispatcher.charges.length, 1);
  });
}

function line(unitCents: number, quantity = 1): Line {
  return { sku: 'tea', unitCents, quantity };
}

function orderOf(fields: Partial<Order> = {}): Order {
  return { id: 'order-1', lines: [line(1_000)], ...fields };
}

({ suite }) satisfies typeof Starter;
