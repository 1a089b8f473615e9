import { stripVTControlCharacters } from 'node:util';

/**
 * A stranger's text in a form that does nothing but be read: terminal sequences go, tabs become spaces, and characters that
 * are not to be seen, or turn the direction of reading, become visible.
 */
export function harmlessText(text: string): string {
  return stripVTControlCharacters(text.toWellFormed())
    .replace(/\r\n?/g, '\n')
    .replaceAll('\t', '    ')
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (char) =>
      char === '\n' ? char : `\\u{${char.codePointAt(0)!.toString(16)}}`,
    )
    .replace(/\n*$/, '\n');
}
