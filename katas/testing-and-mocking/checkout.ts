import { type Dispatcher, request } from 'undici';

// The right module, for you to read. The judge has wrong ones, and others that are right. Leave this file as it is.

export interface Line {
  sku: string;
  unitCents: number;
  quantity: number;
}

export interface Coupon {
  percent: number;
  /** In ms since 1970. */
  expiresAt: number;
}

export interface Order {
  id: string;
  lines: readonly Line[];
  coupon?: Coupon;
}

export interface Receipt {
  orderId: string;
  chargeId: string;
  amountCents: number;
  /** In ms since 1970. */
  paidAt: number;
}

export interface Checkout {
  /** @throws Error with the code "invalid", "declined" or "unavailable" */
  pay(order: Order): Promise<Receipt>;
}

export interface CheckoutOptions {
  /** Origin of the payment gateway, such as `https://gateway.example`. */
  gateway: string;
  /** Default: the global dispatcher of undici. */
  dispatcher?: Dispatcher;
  /** In ms since 1970, like Date.now, the default. */
  now?: () => number;
}

export type CreateCheckout = (options: CheckoutOptions) => Checkout;

const shippingCents = 500;
const freeShippingFromCents = 5_000;
const attempts = 2;

/** Creates a checkout that charges orders at a payment gateway. */
export function createCheckout({ gateway, dispatcher, now = Date.now }: CheckoutOptions): Checkout {
  /** By the order's id: what is paid, or about to be. */
  const payments = new Map<string, Promise<Receipt>>();

  async function pay(order: Order): Promise<Receipt> {
    refuseInvalid(order);
    const known = payments.get(order.id);
    if (known) return await known;
    const payment = charge(order.id, amountOf(order, now()));
    payments.set(order.id, payment);
    payment.catch(() => payments.delete(order.id));
    return await payment;
  }

  async function charge(orderId: string, amountCents: number): Promise<Receipt> {
    const idempotencyKey = orderId;
    for (let attempt = 1; attempt <= attempts; attempt++) {
      const { status, chargeId } = await send({ orderId, amountCents }, idempotencyKey);
      if (status === 201) return { orderId, chargeId, amountCents, paidAt: now() };
      if (status === 402) throw failure('declined', `The gateway declined order ${orderId}.`);
    }
    throw failure('unavailable', `The gateway did not charge order ${orderId}.`);
  }

  /** The status is 0 when there was no answer. */
  async function send(payload: object, idempotencyKey: string): Promise<{ status: number; chargeId: string }> {
    try {
      const { statusCode, body } = await request(new URL('/charges', gateway), {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': idempotencyKey },
        body: JSON.stringify(payload),
        ...(dispatcher && { dispatcher }),
      });
      if (statusCode === 201) return { status: 201, chargeId: ((await body.json()) as { id: string }).id };
      await body.dump();
      return { status: statusCode, chargeId: '' };
    } catch {
      return { status: 0, chargeId: '' };
    }
  }

  return { pay };
}

function amountOf({ lines, coupon }: Order, now: number): number {
  const sumCents = lines.reduce((sum, { unitCents, quantity }) => sum + unitCents * quantity, 0);
  const percent = coupon && now < coupon.expiresAt ? coupon.percent : 0;
  const discountedCents = sumCents - Math.round((sumCents * percent) / 100);
  return discountedCents >= freeShippingFromCents ? discountedCents : discountedCents + shippingCents;
}

function refuseInvalid({ id, lines }: Order): void {
  const isValid = lines.length > 0 && lines.every(({ quantity }) => Number.isInteger(quantity) && quantity > 0);
  if (!isValid) throw failure('invalid', `Order ${id} needs lines with whole, positive quantities.`);
}

function failure(code: 'invalid' | 'declined' | 'unavailable', message: string): Error {
  return Object.assign(new Error(message), { code });
}
