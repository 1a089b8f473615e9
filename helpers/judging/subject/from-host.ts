// Messages from a subject's host. They are untrusted input: the module may have found a way to send its own.

export interface Told {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
}

export type FromHost =
  | { readonly event: 'ready' }
  | { readonly event: 'exit'; readonly code: number; readonly stack: string }
  | { readonly event: 'uncaught'; readonly origin: string; readonly error: Told }
  | { readonly event: 'chunk'; readonly chunk: Uint8Array; readonly of: string }
  | { readonly id: string; readonly value?: unknown; readonly error?: Told; readonly fault?: string };

/** Undefined when it is not one of the host's messages. */
export function readMessage(message: unknown): FromHost | undefined {
  if (typeof message !== 'object' || message === null) return undefined;
  const { id, event, value, error, fault, code, stack, origin, chunk, of } = message as Record<string, unknown>;
  const told = readTold(error);
  if (typeof id === 'string') {
    return { id, value, ...(told && { error: told }), ...(typeof fault === 'string' && { fault }) };
  }
  if (event === 'ready') return { event };
  if (event === 'chunk' && chunk instanceof Uint8Array && typeof of === 'string') return { event, chunk, of };
  if (event === 'exit') return { event, code: typeof code === 'number' ? code : -1, stack: text(stack) };
  if (event === 'uncaught' && told) return { event, origin: text(origin), error: told };
  return undefined;
}

function readTold(error: unknown): Told | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const { name, message, stack } = error as Record<string, unknown>;
  return { name: text(name), message: text(message), stack: text(stack) };
}

/** An error in one line. */
export function sentence({ name, message }: Told): string {
  return name === 'NonError' ? message : `${name}: ${message}`;
}

/** Not String(): an untrusted object may have a toString that throws. */
function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
