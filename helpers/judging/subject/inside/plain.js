// Plain JavaScript, because the subject's host loads it without a transform.

/**
 * Where `value` stops being plain data, or undefined when it is plain all through. Plain is what crosses to another
 * process and back unchanged: primitives but symbols, arrays, objects without a class, Uint8Array.
 *
 * @param {unknown} value
 * @param {string} [path] how the value is called in the answer
 * @returns {string | undefined} for example `result.error is an Error`
 */
export function notPlain(value, path = 'value', seen = new Set()) {
  if (value === null || ['undefined', 'boolean', 'number', 'bigint', 'string'].includes(typeof value)) return undefined;
  if (typeof value !== 'object') return `${path} is a ${typeof value}`;
  if (seen.has(value)) return `${path} refers back to what holds it`;
  if (value instanceof Uint8Array) return undefined;

  const proto = Object.getPrototypeOf(value);
  if (!Array.isArray(value) && proto !== null && Object.getPrototypeOf(proto) !== null) {
    const name = String(proto.constructor?.name || 'class instance');
    return `${path} is ${/^[AEIOU]/.test(name) ? 'an' : 'a'} ${name}`;
  }
  seen.add(value);
  for (const [key, item] of Object.entries(value)) {
    const found = notPlain(item, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`, seen);
    if (found !== undefined) return found;
  }
  seen.delete(value);
  return undefined;
}
