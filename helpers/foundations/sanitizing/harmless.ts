import { stripVTControlCharacters } from 'node:util';

/** What is kept of one text; more of it tells a reader nothing. */
const longestText = 20_000;

/**
 * Untrusted text in a form that is safe to show: in a terminal, in a log that a workflow runner listens to, in
 * JSON, and once escaped for them in Markdown, HTML and XML.
 *
 * Terminal sequences go. Control characters, characters that turn the direction of reading, and others that are not to
 * be seen become visible. A workflow command is no longer one: the runner takes `::name::` at the beginning of a line, also
 * after spaces, and `##[name]` anywhere.
 */
export function harmless(text: string, limit = longestText): string {
  const cut = text.length > limit ? `${text.slice(0, limit)}\n[${text.length - limit} characters left out]` : text;
  return (
    stripVTControlCharacters(cut)
      .toWellFormed()
      .replace(/\r\n/g, '\n')
      // All that JavaScript, a terminal, or a runner may take for the end of a line or for nothing at all.
      .replace(/[\p{Cc}\p{Cf}\u2028\u2029\uFFFE\uFFFF]/gu, (char) =>
        char === '\n' || char === '\t' ? char : `\\u{${char.codePointAt(0)!.toString(16)}}`,
      )
      .replace(/^([^\S\n]*)::/gm, '$1\\::')
      .replaceAll('##[', '# #[')
  );
}

/** The same on one line, for a name or a sentence. */
export function harmlessLine(text: string, limit = 500): string {
  return harmless(text.slice(0, limit).replace(/\s+/g, ' ').trim()) + (text.length > limit ? '…' : '');
}

/** Every text in plain data made harmless, for data that comes from elsewhere. */
export function harmlessDeep<T>(value: T, limit: number): T {
  if (typeof value === 'string') return harmless(value, limit) as T;
  if (Array.isArray(value)) return value.map((item) => harmlessDeep(item, limit)) as T;
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, harmlessDeep(item, limit)])) as T;
  return value;
}
