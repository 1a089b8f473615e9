import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { Dispatcher, Response } from 'undici';
import type { CreateCheckout, Order, Receipt } from '../../../../katas/testing-and-mocking/checkout.ts';

type Behavior = 'pays' | 'declines' | 'fails' | 'breaks' | 'teapot';
type Handler = Required<Dispatcher.DispatchHandler>;

/** The gateway, written as a dispatcher of its own: it holds each request for a turn, and then behaves as told. */
class Gateway extends Dispatcher {
  readonly seen: { url: string; key: string; json: unknown }[] = [];
  readonly #behaviors: Behavior[];

  constructor(behaviors: Behavior[]) {
    super();
    this.#behaviors = [...behaviors];
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const headers = new Map(Object.entries(options.headers as Record<string, string>));
    this.seen.push({
      url: `${options.method} ${String(options.origin)}${options.path}`,
      key: headers.get('idempotency-key') ?? '',
      json: JSON.parse(options.body as string),
    });
    setImmediate(() => this.#answer(this.#behaviors.shift() ?? 'fails', handler as Handler));
    return true;
  }

  #answer(behavior: Behavior, handler: Handler): void {
    const controller = {
      paused: false,
      aborted: false,
      reason: null,
      rawHeaders: null,
      rawTrailers: null,
      abort: () => undefined,
      pause: () => undefined,
      resume: () => undefined,
    } as unknown as Dispatcher.DispatchController;
    handler.onRequestStart(controller, {});
    if (behavior === 'breaks') {
      handler.onResponseError(controller, new Error('reset by peer'));
      return;
    }
    const status = { pays: 201, declines: 402, fails: 502, teapot: 418 }[behavior];
    handler.onResponseStart(controller, status, { 'content-type': 'application/json' });
    handler.onResponseData(controller, Buffer.from(JSON.stringify({ id: `c${this.seen.length}` })));
    handler.onResponseEnd(controller, {});
  }
}

/** Two tests: one draws orders and asks an oracle for the amount, the other plays every pair of behaviors of the gateway. */
export const suite = (
  createCheckout: CreateCheckout,
  tools: { test(name: string, run: () => Promise<void>): void },
) => {
  tools.test('the amount of drawn orders is that of the oracle', async () => {
    assert.equal(typeof Response, 'function');
    for (let seed = 1; seed <= 300; seed++) {
      const draw = drawing(seed);
      const time = 1_000_000 + draw(1_000);
      const target = [4_999, 5_000, 5_001, draw(12_000)][draw(4)]!;
      const percent = [0, 10, 25, 50][draw(4)]!;
      const unitCents = Math.max(1, Math.ceil(target / (1 - percent / 100)));
      const lines = [
        { sku: 'a', unitCents, quantity: 1 },
        ...Array.from({ length: draw(4) }, (_, at) => ({ sku: `b${at}`, unitCents: draw(30), quantity: 1 + draw(3) })),
      ];
      const order: Order = {
        id: `order ${seed}`,
        lines,
        ...(draw(5) > 0 && { coupon: { percent, expiresAt: time + draw(3) - 1 } }),
      };
      let clock = 0;
      const gateway = new Gateway(['pays']);
      const checkout = createCheckout({ gateway: 'http://localhost:9', dispatcher: gateway, now: () => clock });
      clock = time;

      const receipt = await checkout.pay(order);

      const amountCents = oracle(order, time);
      assert.deepEqual(
        receipt,
        { orderId: order.id, chargeId: 'c1', amountCents, paidAt: time } satisfies Receipt,
        `seed ${seed}`,
      );
      assert.deepEqual(gateway.seen, [
        { url: 'POST http://localhost:9/charges', key: order.id, json: { orderId: order.id, amountCents } },
      ]);
    }
  });

  tools.test('every pair of behaviors of the gateway', async () => {
    const behaviors: Behavior[] = ['pays', 'declines', 'fails', 'breaks', 'teapot'];
    for (const first of behaviors)
      for (const second of behaviors) {
        const gateway = new Gateway([first, second, 'pays']);
        const checkout = createCheckout({ gateway: 'http://localhost:9', dispatcher: gateway, now: () => 5 });
        const order = { id: `${first}, ${second}`, lines: [{ sku: 'a', unitCents: 20, quantity: 1 }] };
        const pay = () =>
          checkout.pay(order).then(
            () => 'paid',
            ({ code }: { code: string }) => code,
          );

        const payments = [pay(), pay()];
        await turn();
        payments.push(pay());
        const ends = new Set(await Promise.all(payments));

        const decisive = ['pays', 'declines'].includes(first) ? first : second;
        const end = { pays: 'paid', declines: 'declined' }[decisive as string] ?? 'unavailable';
        assert.deepEqual([...ends], [end], order.id);
        assert.equal(
          gateway.seen.length,
          decisive === first && first !== second ? 1 : decisive === first ? countOf(first) : 2,
        );
        assert.equal(new Set(gateway.seen.map((request) => JSON.stringify(request))).size, 1);
      }
  });

  tools.test('orders that are none', async () => {
    const gateway = new Gateway([]);
    const { pay } = createCheckout({ gateway: 'http://localhost:9', dispatcher: gateway });
    for (const quantity of [0, -3, 2.5, Number.NaN])
      await assert.rejects(pay({ id: 'x', lines: [{ sku: 'a', unitCents: 20, quantity }] }), { code: 'invalid' });
    await assert.rejects(pay({ id: 'x', lines: [] }), { code: 'invalid' });
    assert.deepEqual(gateway.seen, []);
  });
};

/** How many requests there are when both behaviors are this one. */
function countOf(behavior: Behavior): number {
  return behavior === 'pays' || behavior === 'declines' ? 1 : 2;
}

/** In whole numbers, so that nothing is rounded but the discount. */
function oracle({ lines, coupon }: Order, time: number): number {
  const sum = lines.reduce((cents, line) => cents + line.unitCents * line.quantity, 0);
  const hundredths = coupon && coupon.expiresAt > time ? sum * coupon.percent : 0;
  const discount = (hundredths - (hundredths % 100)) / 100 + (hundredths % 100 >= 50 ? 1 : 0);
  return sum - discount + (sum - discount < 5_000 ? 500 : 0);
}

/** Whole numbers from 0 to below a limit, the same for each seed. */
function drawing(seed: number): (limit: number) => number {
  let state = seed * 2_654_435_761;
  return (limit) => {
    state = (Math.imul(state ^ (state >>> 15), 2_246_822_519) + 374_761_393) >>> 0;
    return (state >>> 8) % limit;
  };
}
