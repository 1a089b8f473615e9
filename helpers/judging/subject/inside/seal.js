// Messages that only the two ends of a channel can make. Plain JavaScript: the subject's host loads it without a transform.
// RFC 2104 (HMAC) with SHA-256; the counter keeps an old message from being sent again.
import { createHmac } from 'node:crypto';

export const keyBytes = 32;
const tagBytes = 32;
const first = createHmac('sha256', Buffer.alloc(1));
const { update, digest } = Object.getPrototypeOf(first);
const { apply } = Reflect;
const { concat, equals, alloc } = { concat: Buffer.concat, equals: Buffer.prototype.equals, alloc: Buffer.alloc };
const { writeDoubleBE, subarray } = Buffer.prototype;

/** Who could replace a method of these could see the key: an Hmac, and the native object behind it. */
export const mechanism = [
  Object.getPrototypeOf(first),
  ...Object.getOwnPropertySymbols(first)
    .map((symbol) => Reflect.get(first, symbol))
    .filter((handle) => typeof handle === 'object' && handle !== null)
    .map((handle) => Object.getPrototypeOf(handle))
    .filter((prototype) => prototype !== Object.prototype && prototype !== null),
];

/** One direction of a channel. The other end has one with the same key and direction. */
export class Seal {
  #key;
  #direction;
  #count = 0;

  /**
   * @param {Uint8Array} key of 32 bytes
   * @param {'to the subject' | 'to the judge'} direction
   */
  constructor(key, direction) {
    this.#key = key;
    this.#direction = direction;
  }

  /**
   * The message as it is sent: its tag, and itself.
   * @param {Uint8Array} body
   * @returns {Buffer}
   */
  close(body) {
    return concat([this.#tag(body), body]);
  }

  /**
   * What is in a sealed message; undefined when it was not made by the other end, or not as the next one.
   * @param {Buffer} sealed
   * @returns {Buffer | undefined}
   */
  open(sealed) {
    if (sealed.length < tagBytes) return undefined;
    const body = apply(subarray, sealed, [tagBytes]);
    return apply(equals, this.#tag(body), [apply(subarray, sealed, [0, tagBytes])]) ? body : undefined;
  }

  /** @param {Uint8Array} body */
  #tag(body) {
    const place = alloc(8);
    apply(writeDoubleBE, place, [this.#count++]);
    const hmac = createHmac('sha256', this.#key);
    for (const part of [this.#direction, place, body]) apply(update, hmac, [part]);
    return /** @type {Buffer} */ (apply(digest, hmac, []));
  }
}
