import { type Dispatcher, request } from 'undici';
import type {
  Checkout,
  CheckoutOptions,
  CreateCheckout,
  Order,
  Receipt,
} from '../../../katas/testing-and-mocking/checkout.ts';

/** A right checkout of another shape: a class, other words, other names in other order, one more header. */
class GatewayCheckout implements Checkout {
  readonly #url: string;
  readonly #dispatcher: Dispatcher | undefined;
  readonly #now: () => number;
  readonly #underWay: Record<string, Promise<Receipt> | undefined> = Object.create(null);
  readonly #receipts: Record<string, Receipt | undefined> = Object.create(null);

  constructor({ gateway, dispatcher, now }: CheckoutOptions) {
    this.#url = `${new URL(gateway).origin}/charges`;
    this.#dispatcher = dispatcher;
    this.#now = now ?? (() => Date.now());
  }

  async pay(order: Order): Promise<Receipt> {
    const startedAt = this.#now();
    if (order.lines.length === 0) throw new CheckoutError('invalid', 'nothing to pay for');
    const odd = order.lines.find(({ quantity }) => !(quantity >= 1 && quantity % 1 === 0));
    if (odd) throw new CheckoutError('invalid', `${odd.sku}: quantity ${odd.quantity}`);

    const receipt = this.#receipts[order.id];
    if (receipt) return receipt;
    return await (this.#underWay[order.id] ??= this.#settle(order, startedAt).finally(() => {
      delete this.#underWay[order.id];
    }));
  }

  async #settle(order: Order, startedAt: number): Promise<Receipt> {
    const amountCents = totalOf(order, startedAt);
    const chargeId =
      (await this.#attempt(order.id, amountCents)) ?? (await this.#attempt(order.id, amountCents)) ?? undefined;
    if (chargeId === undefined) throw new CheckoutError('unavailable', 'no charge after two attempts');
    const receipt = { amountCents, chargeId, orderId: order.id, paidAt: this.#now() };
    this.#receipts[order.id] = receipt;
    return receipt;
  }

  async #attempt(orderId: string, amountCents: number): Promise<string | undefined> {
    const answer = await request(this.#url, {
      body: JSON.stringify({ amountCents, orderId }),
      headers: { accept: 'application/json', 'idempotency-key': orderId, 'content-type': 'application/json' },
      method: 'POST',
      ...(this.#dispatcher !== undefined && { dispatcher: this.#dispatcher }),
    }).then(
      async ({ statusCode, body }) => ({ statusCode, text: await body.text() }),
      () => undefined,
    );
    if (answer?.statusCode === 402) throw new CheckoutError('declined', 'payment refused');
    return answer?.statusCode === 201 ? (JSON.parse(answer.text) as { id: string }).id : undefined;
  }
}

class CheckoutError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

function totalOf({ lines, coupon }: Order, at: number): number {
  let cents = 0;
  for (const line of lines) cents += line.quantity * line.unitCents;
  if (coupon !== undefined && coupon.expiresAt > at) cents -= Math.floor((cents * coupon.percent + 50) / 100);
  return cents < 5000 ? cents + 500 : cents;
}

export const createCheckout: CreateCheckout = (options) => new GatewayCheckout(options);
