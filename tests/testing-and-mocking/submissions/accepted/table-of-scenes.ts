import { deepStrictEqual } from 'node:assert';
import { MockAgent } from 'undici';
import type { Checkout, CreateCheckout, Line, Order } from '../../../../katas/testing-and-mocking/checkout.ts';
import type { Tools } from '../../../../katas/testing-and-mocking/testing-and-mocking.ts';

/** Calls of one checkout, act by act. A status of 0 stands for a connection that breaks. */
interface Scene {
  readonly title: string;
  readonly gateway: readonly number[];
  readonly acts: readonly ({ at: number } & ({ pay: Order } | { payTwice: Order }))[];
  /** The amounts or error codes of the calls. */
  readonly ends: readonly (number | string)[];
  /** The keys of all requests. */
  readonly keys: readonly string[];
}

const scenes: Scene[] = [
  scene('shipping', [201], [{ at: 0, pay: of('a', [4_999]) }], [5_499], ['a']),
  scene('free shipping', [201], [{ at: 0, pay: of('a', [2_500, 2_500]) }], [5_000], ['a']),
  scene('discount before shipping', [201], [{ at: 0, pay: of('a', [5_010], 1, 10) }], [5_460], ['a']),
  scene('expired', [201], [{ at: 10, pay: of('a', [100], 10, 10) }], [600], ['a']),
  scene(
    'expires between two orders',
    [201, 201],
    [
      { at: 9, pay: of('a', [105, 105, 105], 10, 10) },
      { at: 11, pay: of('b', [105, 105, 105], 10, 10) },
    ],
    [783, 815],
    ['a', 'b'],
  ),
  scene('half a cent', [201], [{ at: 9, pay: of('a', [315], 10, 10) }], [783], ['a']),
  scene('quantity of zero', [201], [{ at: 0, pay: of('a', [100], 0, 0, 0) }], ['invalid'], []),
  scene('no lines', [201], [{ at: 0, pay: of('a', []) }], ['invalid'], []),
  scene('declined', [402, 201], [{ at: 0, pay: of('a', [100]) }], ['declined'], ['a']),
  scene('broken once', [0, 201], [{ at: 0, pay: of('a', [100]) }], [600], ['a', 'a']),
  scene('failed once', [500, 201], [{ at: 0, pay: of('a', [100]) }], [600], ['a', 'a']),
  scene('failed twice', [500, 0, 201], [{ at: 0, pay: of('a', [100]) }], ['unavailable'], ['a', 'a']),
  scene('twice at once', [201, 201], [{ at: 0, payTwice: of('a', [100]) }], [600, 600], ['a']),
  scene(
    'twice in turn',
    [201, 201],
    [
      { at: 0, pay: of('a', [100]) },
      { at: 5, pay: of('a', [100]) },
    ],
    [600, 600],
    ['a'],
  ),
];

class Stage {
  readonly keys: string[] = [];
  readonly #agent = new MockAgent();
  readonly #checkout: Checkout;
  #time = 0;

  constructor(createCheckout: CreateCheckout, gateway: readonly number[]) {
    this.#agent.disableNetConnect();
    const pool = this.#agent.get('http://gateway:8080');
    for (const status of gateway)
      pool
        .intercept({
          path: (path) => path === '/charges',
          method: 'POST',
          body: (body) => Number.isInteger((JSON.parse(body) as { amountCents: number }).amountCents),
        })
        .reply(({ headers }) => {
          this.keys.push((headers as Record<string, string>)['idempotency-key'] ?? 'no key');
          if (status === 0) throw new TypeError('terminated');
          return { statusCode: status, data: JSON.stringify({ id: 'some charge' }) };
        });
    this.#checkout = createCheckout({
      gateway: 'http://gateway:8080',
      dispatcher: this.#agent,
      now: this.#now.bind(this),
    });
  }

  async play({ acts }: Scene): Promise<(number | string)[]> {
    const ends: (number | string)[] = [];
    for (const act of acts) {
      this.#time = act.at;
      const orders = 'pay' in act ? [act.pay] : [act.payTwice, { ...act.payTwice }];
      const calls = await Promise.allSettled(orders.map((order) => this.#checkout.pay(Object.freeze(order))));
      for (const call of calls)
        ends.push(call.status === 'fulfilled' ? call.value.amountCents : String(call.reason.code));
    }
    return ends;
  }

  #now(): number {
    return this.#time;
  }
}

export function suite(createCheckout: CreateCheckout, { test }: Tools): void {
  for (const one of scenes)
    test(one.title, async () => {
      const stage = new Stage(createCheckout, one.gateway);
      const ends = await stage.play(one);
      deepStrictEqual(ends, one.ends);
      deepStrictEqual(stage.keys, one.keys);
    });
}

function scene(
  title: string,
  gateway: number[],
  acts: Scene['acts'],
  ends: (number | string)[],
  keys: string[],
): Scene {
  return { title, gateway, acts, ends, keys };
}

function of(id: string, prices: number[], percent = 0, expiresAt = 0, quantity = 1): Order {
  const lines = prices.map((unitCents, at): Line => ({ sku: `sku ${at}`, unitCents, quantity }));
  return { id, lines, ...(percent > 0 && { coupon: { percent, expiresAt } }) };
}
