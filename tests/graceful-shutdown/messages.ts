/** How long the body of the route `length` is, in bytes. */
export const headerBytes = 64;
/** With which message a query fails that comes after the pool’s end. */
export const poolIsClosed = 'The pool is closed.';
/** How often the route `large` repeats what the database said. */
export const largeTimes = 1024 * 1024;

/** What a service tells the judge. A `query`, `readiness` and `end` wait for an answer. */
export interface FromService {
  readonly id: number;
  readonly event: 'query' | 'readiness' | 'end' | 'goAway' | 'error' | 'upload' | 'ended' | 'done';
  readonly detail: string;
}

/** What the judge tells a service: the answer to one of its questions, or an order. With null for a text, it rejects without a reason. */
export type ToService =
  | { readonly id: number; readonly value?: string; readonly error?: string | null }
  | { readonly kind: 'step'; readonly ms: number }
  | { readonly kind: 'turn' | 'add a broken client' }
  | { readonly kind: 'reject'; readonly message: string | null };
