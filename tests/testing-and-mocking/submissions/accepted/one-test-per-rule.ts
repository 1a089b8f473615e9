import { MockAgent, getGlobalDispatcher, setGlobalDispatcher } from 'undici';
import type { Checkout, CreateCheckout, Order } from '../../../../katas/testing-and-mocking/checkout.ts';
import type { Tools } from '../../../../katas/testing-and-mocking/testing-and-mocking.ts';

const origin = 'https://pay.test';
const noon = Date.UTC(2030, 0, 1, 12);

interface Request {
  readonly key: string | undefined;
  readonly amountCents: number;
  readonly orderId: string;
}

/** One test for each rule. The gateway is undici's global dispatcher while a test runs. */
export async function suite(createCheckout: CreateCheckout, { test, assert }: Tools): Promise<void> {
  const withGateway = async (
    statuses: number[],
    run: (checkout: Checkout, requests: Request[], clock: { time: number }) => Promise<void>,
  ) => {
    const before = getGlobalDispatcher();
    const agent = new MockAgent();
    const requests: Request[] = [];
    const clock = { time: noon };
    agent.disableNetConnect();
    for (const status of statuses) {
      const mock = agent.get(origin).intercept({ path: '/charges', method: 'POST' });
      mock.reply(({ body, headers }) => {
        const { orderId, amountCents } = JSON.parse(body as string) as Request;
        const key = (headers as Record<string, string>)['idempotency-key'];
        requests.push({ key, amountCents, orderId });
        if (status === 0) throw new Error('socket hang up');
        return { statusCode: status, data: { id: `id-${requests.length}` } };
      });
    }
    setGlobalDispatcher(agent);
    try {
      await run(createCheckout({ gateway: origin, now: () => clock.time }), requests, clock);
    } finally {
      setGlobalDispatcher(before);
      await agent.close();
    }
  };

  test('adds up lines and shipping', async () => {
    await withGateway([201], async (checkout, requests) => {
      const receipt = await checkout.pay({
        id: 'a',
        lines: [
          { sku: 'x', unitCents: 111, quantity: 3 },
          { sku: 'y', unitCents: 5, quantity: 1 },
        ],
      });
      assert.deepEqual(receipt, { orderId: 'a', chargeId: 'id-1', amountCents: 838, paidAt: noon });
      assert.deepEqual(requests, [{ key: 'a', amountCents: 838, orderId: 'a' }]);
    });
  });

  test('rounds the discount of the order once, half a cent up', async () => {
    await withGateway([201, 201], async (checkout) => {
      const coupon = { percent: 50, expiresAt: noon + 1 };
      const one = await checkout.pay({ id: 'a', lines: [{ sku: 'x', unitCents: 101, quantity: 1 }], coupon });
      assert.equal(one.amountCents, 550);
      const line = { sku: 'x', unitCents: 101, quantity: 1 };
      const two = await checkout.pay({ id: 'b', lines: [line, line], coupon });
      assert.equal(two.amountCents, 601);
    });
  });

  test('ships for free from 5,000 cents on, after the discount', async () => {
    await withGateway([201, 201], async (checkout) => {
      const amounts: number[] = [];
      for (const [id, unitCents] of [
        ['a', 9_998],
        ['b', 10_000],
      ] as const) {
        const coupon = { percent: 50, expiresAt: noon + 1 };
        const receipt = await checkout.pay({ id, lines: [{ sku: 'x', unitCents, quantity: 1 }], coupon });
        amounts.push(receipt.amountCents);
      }
      assert.deepEqual(amounts, [5_499, 5_000]);
    });
  });

  test('ignores a coupon from its last moment on', async () => {
    await withGateway([201], async (checkout, _requests, clock) => {
      const coupon = { percent: 10, expiresAt: noon + 60_000 };
      clock.time = coupon.expiresAt;
      const receipt = await checkout.pay({ id: 'a', lines: [{ sku: 'x', unitCents: 100, quantity: 1 }], coupon });
      assert.equal(receipt.amountCents, 600);
    });
  });

  test('refuses what nobody can deliver', async () => {
    for (const quantities of [[], [0], [1, -2], [0.5]]) {
      await withGateway([201], async (checkout, requests) => {
        const lines = quantities.map((quantity) => ({ sku: 'x', unitCents: 100, quantity }));
        await assert.rejects(() => checkout.pay({ id: 'a', lines }), { code: 'invalid' });
        assert.deepEqual(requests, []);
      });
    }
  });

  test('takes no for an answer', async () => {
    await withGateway([402, 201], async (checkout, requests) => {
      await assert.rejects(checkout.pay(cheap('a')), { code: 'declined' });
      assert.equal(requests.length, 1);
    });
  });

  test('asks once more with the same key when the gateway fails', async () => {
    for (const status of [0, 500]) {
      await withGateway([status, 201], async (checkout, requests) => {
        const receipt = await checkout.pay(cheap('a'));
        assert.equal(receipt.chargeId, 'id-2');
        assert.deepEqual(requests[0], requests[1]);
      });
    }
  });

  test('gives up after the second attempt', async () => {
    for (const status of [0, 500]) {
      await withGateway([status, status, 201], async (checkout, requests) => {
        const error = await checkout.pay(cheap('a')).then(
          () => assert.fail('it was paid'),
          (reason: Error & { code: string }) => reason,
        );
        assert.equal(error.code, 'unavailable');
        assert.equal(requests.length, 2);
      });
    }
  });

  test('charges an order once', async () => {
    await withGateway([201, 201], async (checkout, requests) => {
      const first = checkout.pay(cheap('a'));
      const second = checkout.pay(cheap('a'));
      assert.deepEqual(await first, await second);
      assert.deepEqual(await checkout.pay(cheap('a')), await first);
      assert.equal(requests.length, 1);
    });
  });

  await Promise.resolve();
}

function cheap(id: string): Order {
  return { id, lines: [{ sku: 'x', unitCents: 100, quantity: 1 }] };
}
