/** A token that must not work, and how it was made. */
export interface ChangedToken {
  readonly what: string;
  readonly token: string;
}

/** One character is changed, in each part; a half; all parts but the last; and, for a JWT, one with the algorithm "none". */
export function changedTokens(token: string): ChangedToken[] {
  const parts = token.split('.');
  const changed: ChangedToken[] = [];
  for (const [at, part] of parts.entries()) {
    // Some bits of the last character may mean nothing.
    const positions = new Set([0, part.length >> 1, part.length - 2]);
    for (const position of part.length < 4 ? [] : positions) {
      const other = otherCharacter(part[position]!);
      const otherPart = part.slice(0, position) + other + part.slice(position + 1);
      const where = `character ${position + 1} of part ${at + 1} of ${parts.length} changed`;
      changed.push({ what: where, token: parts.with(at, otherPart).join('.') });
    }
  }
  changed.push({ what: 'cut in half', token: token.slice(0, token.length >> 1) });
  if (parts.length > 1) {
    changed.push({ what: 'without its last part', token: parts.slice(0, -1).join('.') });
    changed.push({ what: 'with an empty last part', token: `${parts.slice(0, -1).join('.')}.` });
  }
  if (parts.length === 3) {
    const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
    changed.push({ what: 'with alg none and no signature', token: `${none}.${parts[1]}.` });
  }
  return changed;
}

/** Another character that is also another digit in base 16, 32 and 64. */
function otherCharacter(character: string): string {
  if (/\d/.test(character)) return character === '7' ? '4' : '7';
  return /c/i.test(character) ? 'e' : 'c';
}

/** The text of a token, and that of each part of it that is base64url. */
export function decoded(token: string): string {
  return [token, ...token.split('.').map((part) => Buffer.from(part, 'base64url').toString())].join(' ');
}
