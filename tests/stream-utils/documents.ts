import fc from 'fast-check';
import { cutAt } from '../../helpers/instruments/stream-stage/stream-stage.ts';

/** A text, and the chunks that a source gives it in. */
export interface Document {
  readonly text: string;
  readonly delimiter: string;
  readonly chunks: readonly (string | Uint8Array)[];
}

export const ascii = { characters: ['a', 'b', ' ', '\n'], delimiters: ['\n'] };
/** Characters of one to four bytes, and delimiters that begin like each other's text or like themselves. */
export const unicode = {
  characters: ['a', 'b', '-', '\r', '\n', 'é', '€', '🙂'],
  delimiters: ['\n', '\r\n', '--', '€', 'aba', '🙂', 'aab', '-\n-'],
};

/** Random documents, cut between any two bytes. */
export function documents({ characters, delimiters }: typeof ascii, { endsWithDelimiter = false } = {}) {
  return fc.constantFrom(...delimiters).chain((delimiter) =>
    fc
      .record({
        // The delimiter is drawn as often as a character; otherwise hardly a text would contain it.
        text: fc.string({ unit: fc.constantFrom(...characters, delimiter), maxLength: 40 }),
        cuts: fc.array(fc.nat({ max: 80 }), { maxLength: 10 }),
      })
      .map(({ text, cuts }): Document => {
        const whole = endsWithDelimiter ? text + delimiter : text;
        return { text: whole, delimiter, chunks: cutAt(bytesOf(whole), cuts) };
      }),
  );
}

/** Random documents in chunks that are strings of one character each. */
export function documentsOfStrings(alphabet: typeof ascii): fc.Arbitrary<Document> {
  return documents(alphabet).map(({ text, delimiter }) => ({ text, delimiter, chunks: [...text] }));
}

/** One text, cut in two before each of its bytes, and once between all bytes. */
export function everyCut(text: string, delimiter: string): Document[] {
  const bytes = bytesOf(text);
  return [...Array.from(bytes, (_, place) => cutAt(bytes, [place])), cutAt(bytes, [...bytes.keys()])].map((chunks) => ({
    text,
    delimiter,
    chunks,
  }));
}

/** The lines of a document, by `String.split`. */
export function linesOf({ text, delimiter }: Document): string[] {
  const lines = text.split(delimiter);
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
}

/** The chunks of a document for a failure; a chunk that is not valid UTF-8 is shown in hexadecimal. */
export function inWords({ delimiter, chunks }: Document): string {
  const shown = chunks.map((chunk) => {
    const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
    return text.includes('\uFFFD') ? `<${Buffer.from(chunk).toString('hex')}>` : JSON.stringify(text);
  });
  return `the chunks ${shown.join(' + ') || 'none'}, delimiter ${JSON.stringify(delimiter)}`;
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text));
}
