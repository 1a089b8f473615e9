import type * as Kata from '../../katas/circuit-breaker/circuit-breaker.ts';

/**
 * How a fired call ended: `answered …` and `failed: …` for what `call` itself gave, unchanged; `refused` for a CircuitOpenError;
 * `timed out` for a CallTimeoutError.
 */
export type Outcome = 'pending' | 'refused' | 'timed out' | `${'answered' | 'failed:' | 'another error:'} ${string}`;

/** Fires, and says how that ended. Never rejects. */
export async function outcomeOf(
  { CircuitOpenError, CallTimeoutError }: Pick<typeof Kata, 'CircuitOpenError' | 'CallTimeoutError'>,
  fire: () => Promise<unknown>,
  ownErrors: ReadonlyMap<unknown, string>,
): Promise<Outcome> {
  let promise: Promise<unknown>;
  try {
    promise = fire();
  } catch (error) {
    return `another error: fire threw ${String(error)} instead of rejecting`;
  }
  try {
    return `answered ${String(await promise)}`;
  } catch (error) {
    const own = ownErrors.get(error);
    if (own !== undefined) return `failed: ${own}`;
    if (error instanceof CircuitOpenError) return 'refused';
    if (error instanceof CallTimeoutError) return 'timed out';
    return `another error: ${String(error)}`;
  }
}
