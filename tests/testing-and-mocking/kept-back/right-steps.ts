import { request } from 'undici';
import type { CreateCheckout, Order, Receipt } from '../../../katas/testing-and-mocking/checkout.ts';

/** A right checkout of another shape: steps that hand on a state, one list of entries, JSON with white space. */
export const createCheckout: CreateCheckout = (options) => {
  const entries: { id: string; payment: Promise<Receipt> }[] = [];
  const time = options.now ?? Date.now;
  const forget = (id: string) =>
    void entries.splice(
      entries.findIndex((entry) => entry.id === id),
      1,
    );

  const post = async (order: Order, amountCents: number, left: number): Promise<Receipt> => {
    if (left === 0) throw coded('unavailable');
    let status = 0;
    let answer: unknown;
    try {
      const response = await request(`${options.gateway.replace(/\/$/, '')}/charges`, {
        method: 'POST',
        body: JSON.stringify({ orderId: order.id, amountCents }, undefined, 2),
        headers: {
          'user-agent': 'checkout/2',
          'idempotency-key': order.id,
          'content-type': 'application/json; charset=utf-8',
        },
        ...(options.dispatcher ? { dispatcher: options.dispatcher } : {}),
      });
      status = response.statusCode;
      answer = status === 201 ? await response.body.json() : await response.body.text();
    } catch {
      status = 0;
    }
    if (status === 402) throw coded('declined');
    if (status !== 201) return await post(order, amountCents, left - 1);
    return { paidAt: time(), amountCents, chargeId: (answer as { id: string }).id, orderId: order.id };
  };

  return {
    pay: (order) => {
      const found = entries.find(({ id }) => id === order.id);
      if (!isSound(order)) return Promise.reject(coded('invalid'));
      if (found) return found.payment;
      const payment = post(order, price(order, time()), 2);
      entries.push({ id: order.id, payment });
      payment.catch(() => forget(order.id));
      return payment;
    },
  };
};

const isSound = ({ lines: [first, ...others] }: Order): boolean =>
  first !== undefined && [first, ...others].every(({ quantity }) => Number.isSafeInteger(quantity) && quantity > 0);

const price = ({ lines, coupon }: Order, at: number): number => {
  const full = lines.map(({ unitCents, quantity }) => unitCents * quantity).reduce((left, right) => left + right);
  const isDue = coupon !== undefined && at < coupon.expiresAt;
  const discount = isDue ? Number((BigInt(full) * BigInt(coupon.percent) + 50n) / 100n) : 0;
  const due = full - discount;
  return due + (due < 5000 ? 500 : 0);
};

const coded = (code: string): Error => Object.assign(new Error(code.toUpperCase()), { code });
