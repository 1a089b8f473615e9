/** What a person or a script typed: a statement for a session, or a word for the shell itself. */
export type Input =
  | {
      readonly kind: 'statement';
      readonly sql: string;
      /** The session that `\1` or `\2` before it chose; undefined is the one at the prompt. */
      readonly session: number | undefined;
      /** Ended by `\G`: one column a line. */
      readonly vertical: boolean;
    }
  | { readonly kind: 'command'; readonly name: string; readonly rest: string }
  /** A command came before the `;`, so that this is not a statement. */
  | { readonly kind: 'unfinished'; readonly sql: string };

type State = 'plain' | "'" | '"' | '`' | '-- ' | '/*';

/**
 * Cuts lines into statements. A statement ends with `;` (or what DELIMITER set, or `\G`), but not within quotes or a
 * comment, and may go over several lines. Comments stay in it, for some are hints to the server.
 */
export class StatementReader {
  #delimiter = ';';
  #text = '';
  #state: State = 'plain';
  /** Whether there is more than blanks and comments. */
  #hasContent = false;
  #session: number | undefined;

  /** Whether a statement has begun and not ended. */
  get isHalfTyped(): boolean {
    return this.#hasContent || this.#state !== 'plain';
  }

  /** What a half-typed statement goes on after: an open quote or comment, or `-`. */
  get openedBy(): string {
    return this.#state === 'plain' ? '-' : this.#state[0]!;
  }

  /** Takes a line without its end, and gives back what it completes. */
  readLine(line: string): Input[] {
    const command = this.#readCommand(line);
    if (command) return command;

    const inputs: Input[] = [];
    const session = this.isHalfTyped ? undefined : /^\s*\\([12])\s/.exec(line)?.[1];
    if (session) this.#session = Number(session);
    let at = session ? line.indexOf(session) + 1 : 0;
    while (at < line.length) {
      const ending = this.#state === 'plain' ? this.#endingAt(line, at) : undefined;
      if (ending === undefined) {
        at = this.#step(line, at);
        continue;
      }
      at += ending.length;
      const isEnd = this.#hasContent;
      if (isEnd)
        inputs.push({ kind: 'statement', sql: this.#text.trim(), session: this.#session, vertical: ending === '\\G' });
      this.#text = '';
      this.#hasContent = false;
    }
    if (this.#state === '-- ') this.#state = 'plain';
    this.#text += '\n';
    if (!this.isHalfTyped) this.#session = undefined;
    return inputs;
  }

  /** Takes what is left as a statement, as at the end of a file whose last `;` is missing. */
  finish(): Input[] {
    const last: Input = { kind: 'statement', sql: this.#text.trim(), session: this.#session, vertical: false };
    const isThere = this.isHalfTyped;
    this.reset();
    return isThere ? [last] : [];
  }

  /** Forgets what is half-typed. */
  reset(): void {
    this.#text = '';
    this.#state = 'plain';
    this.#hasContent = false;
    this.#session = undefined;
  }

  #readCommand(line: string): Input[] | undefined {
    if (this.#state !== 'plain') return undefined;
    const [, delimiter] = /^\s*delimiter\s+(\S+)\s*$/i.exec(line) ?? [];
    if (delimiter !== undefined && !this.#hasContent) {
      this.reset();
      this.#delimiter = delimiter;
      return [];
    }
    const [, word] = /^\s*(exit|quit|help)\s*;?\s*$/i.exec(line) ?? [];
    if (word !== undefined && !this.#hasContent) {
      this.reset();
      return [{ kind: 'command', name: word.toLowerCase() === 'help' ? 'help' : 'q', rest: '' }];
    }

    const [, name, rest = ''] = /^\s*\\(\w+|\?|)\s*(.*?)\s*$/.exec(line) ?? [];
    if (name === undefined || name === 'G' || (/^[12]$/.test(name) && rest !== '' && !this.#hasContent))
      return undefined;
    const sql = this.#text.trim();
    const left: Input[] = this.#hasContent ? [{ kind: 'unfinished', sql }] : [];
    this.reset();
    if (/^[12]$/.test(name) && rest !== '') return [...left, ...this.readLine(line)];
    return [...left, { kind: 'command', name, rest }];
  }

  #endingAt(line: string, at: number): string | undefined {
    return [this.#delimiter, '\\G'].find((ending) => line.startsWith(ending, at));
  }

  /** Takes one character, or the few that belong together, and returns where the next begins. */
  #step(line: string, at: number): number {
    const two = line.slice(at, at + 2);
    const char = line[at]!;
    let length = 1;
    if (this.#state === 'plain') {
      // Two dashes are a comment only before a blank; before anything else they are two minus signs.
      if (char === '#' || /^--(\s|$)/.test(line.slice(at, at + 3))) this.#state = '-- ';
      else if (two === '/*') {
        this.#state = '/*';
        length = 2;
        // The server reads on in this kind.
        if (line[at + 2] === '!') this.#hasContent = true;
      } else {
        if (char === "'" || char === '"' || char === '`') this.#state = char;
        if (char.trim() !== '') this.#hasContent = true;
      }
    } else if (this.#state === '/*') {
      if (two === '*/') {
        this.#state = 'plain';
        length = 2;
      }
    } else if (this.#state !== '-- ') {
      if (char === '\\' && this.#state !== '`') length = 2;
      // A doubled quote closes and opens again, which comes to the same.
      else if (char === this.#state) this.#state = 'plain';
    }
    this.#text += line.slice(at, at + length);
    return at + length;
  }
}
