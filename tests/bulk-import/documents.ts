import { open } from 'node:fs/promises';
import fc from 'fast-check';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';
import { chosenSeed } from '../../helpers/judging/drawn/seed.ts';

/** One row of the table, and of a file. */
export interface Product {
  readonly sku: string;
  readonly name: string;
  readonly price: number;
  readonly description: string;
}

/** A file to import. */
export interface Document {
  readonly csv: string | Buffer;
  readonly products: readonly Product[];
  /** The text of each product in the file, without the line end. */
  readonly records: readonly string[];
  /** The line on which each product begins; the header is line 1. */
  readonly lines: readonly number[];
}

const header = 'sku,name,price,description';

/** What differs from seed to seed, so that a module cannot know it: the supplier begins each sku of a file. */
export const drawn = drawOne(
  fc.record({
    supplier: fc.stringMatching(/^[A-Z]{3}$/),
    word: fc.stringMatching(/^[a-z]{6}$/),
    price: fc.noBias(fc.integer({ min: 1, max: 90_000 })),
    perMille: fc.noBias(fc.integer({ min: 960, max: 999 })),
    badRow: fc.noBias(fc.integer({ min: 55, max: 75 })),
  }),
);

/** This number of rows, or up to 4 % less, by the seed. */
export function about(count: number): number {
  return Math.round((count * drawn.perMille) / 1000);
}

/** Writes a file. Fields have quotes where they need them, or where `quote` says so. */
export function documentOf(
  products: readonly Product[],
  { lineEnd = '\n', isEnded = true, quote = () => false }: DocumentStyle = {},
): Document {
  const records = products.map((product) => recordOf(product, quote));
  let next = 2;
  const lines = records.map((record) => {
    const line = next;
    next += record.split('\n').length;
    return line;
  });
  const ends = typeof lineEnd === 'string' ? [lineEnd] : lineEnd;
  const all = [header, ...records];
  const csv = all.map(
    (record, index) => record + (isEnded || index + 1 < all.length ? ends[index % ends.length]! : ''),
  );
  return { csv: csv.join(''), products, records, lines };
}

/** The same file with another text in place of one product. All lines end with LF. */
export function withRecord(document: Document, index: number, record: string | Buffer): Document {
  const text = (records: readonly string[]) => Buffer.from(records.map((one) => `${one}\n`).join(''));
  const before = text([header, ...document.records.slice(0, index)]);
  const after = text(document.records.slice(index + 1));
  return { ...document, csv: Buffer.concat([before, Buffer.from(record), Buffer.from('\n'), after]) };
}

interface DocumentStyle {
  /** Ends each line. Several line ends take turns, beginning with the header. */
  readonly lineEnd?: string | readonly string[];
  /** Whether the last line has a line end. */
  readonly isEnded?: boolean;
  /** Which fields are in quotes although they need none. */
  readonly quote?: (field: string) => boolean;
}

/** The text of a product in a file, without the line end. */
export function recordOf({ sku, name, price, description }: Product, quote = (_field: string) => false): string {
  return [sku, name, String(price), description]
    .map((field) => (needsQuotes(field) || quote(field) ? `"${field.replaceAll('"', '""')}"` : field))
    .join(',');
}

function needsQuotes(field: string): boolean {
  return /[",\r\n]/.test(field);
}

/** Ordinary products, one line each, without quotes. */
export function plainProducts(count: number, descriptionLength = 20, prefix = drawn.supplier): Product[] {
  return Array.from({ length: count }, (_, index) => ({
    sku: skuOf(index, prefix),
    name: `Product ${drawn.word} ${index}`,
    price: drawn.price + index,
    description: `One ${drawn.word} of its kind.`.padEnd(descriptionLength, 'x'),
  }));
}

/** Ordinary products. Every tenth one takes three lines, so that rows and lines have different numbers. */
export function productsOfSeveralLines(count: number): Product[] {
  const description = (index: number) =>
    index % 10 === 9 ? 'One line,\nanother,\r\nand "a" third,\rwhich goes on.' : 'One line.';
  return plainProducts(count).map((product, index) => ({ ...product, description: description(index) }));
}

/** Texts in place of this product, each of which breaks one rule of the README. */
export function badRecords({ sku, name, price, description }: Product): [what: string, record: string | Buffer][] {
  const record = (...fields: unknown[]) => fields.join(',');
  return [
    ['has three fields', record(sku, name, price)],
    ['has five fields', record(sku, name, price, 'one', 'two')],
    ['has no sku', record('', name, price, 'x')],
    ['has a sku of 41 characters', record('S'.repeat(41), name, price, 'x')],
    ['has a sku with a space in it', record('a b', name, price, 'x')],
    ['has a sku with an underscore in it', record('a_b', name, price, 'x')],
    ['has a name of 201 characters', record(sku, 'n'.repeat(201), price, 'x')],
    ['has a description of 1,001 characters', record(sku, name, price, 'd'.repeat(1001))],
    ['has no price', record(sku, name, '', 'x')],
    ['has the price 12.50', record(sku, name, '12.50', 'x')],
    ['has the price 1e3', record(sku, name, '1e3', 'x')],
    ['has the price -5', record(sku, name, '-5', 'x')],
    ['has a blank before its price', record(sku, name, ' 5', 'x')],
    ['has a blank after its price', record(sku, name, '5 ', 'x')],
    ['has a blank before an opening quote', record(sku, ' "rack"', price, 'x')],
    ['has a blank after a closing quote', record(sku, '"rack" ', price, 'x')],
    ['has the price 1234567890, of ten digits', record(sku, name, '1234567890', 'x')],
    ['has a quote in the middle of a field', record(sku, 'a 19" rack', price, 'x')],
    ['has text after a closing quote', record(sku, '"rack" 19', price, 'x')],
    ['has a quote that is never closed', record(sku, name, price, `"${description}`)],
    ['is not UTF-8', Buffer.from(record(sku, 'Grüße', price, 'x'), 'latin1')],
  ];
}

function skuOf(index: number, prefix: string): string {
  return `${prefix}-${String(index).padStart(6, '0')}`;
}

/** Texts that a parser, an escape or a server may misread. */
export const awkwardProducts: readonly Product[] = [
  'plain',
  '',
  'a, b, and c',
  'the 19" rack, "as is"',
  '"',
  '""',
  '",',
  'two\nlines',
  'two\r\nlines and\n\nan empty one',
  '\n',
  ' spaces around ',
  'a\ttab',
  'NULL',
  '\\N',
  'C:\\new\\table',
  'ends with \\',
  '\\"',
  '\\0 \\n \\r \\t \\Z',
  "it's; -- '",
  '100 % ? ?? :name _a',
  'Grüße aus 東京 für 5 €, e\u0301 😀 👩‍👩‍👧',
  '#a, // b, /* c */',
  "$$ $& $1 $' $`",
  'ends with $',
  'x'.repeat(200),
  '😀'.repeat(200),
  'é,"\n'.repeat(50),
  'a lone\rcarriage return',
  '\r',
  '\uFEFFbegins with what is a byte order mark elsewhere',
].map((text, index) => ({
  sku: index < 20 ? `awkward-${index}` : index < 22 ? ['Same', 'sAME'][index - 20]! : `${index}-`.padEnd(40, 'z'),
  name: text,
  price: index === 0 ? 0 : 999_999_999 - index,
  description: text,
}));

/** Texts with what JavaScript or others take for line ends, blanks or no character at all. */
export const rareProducts: readonly Product[] = [
  'a line\u2028separator',
  'a paragraph\u2029separator',
  '\u2028',
  '\u2029',
  '\u0085next line\u0085',
  '\vtabs and pages\f',
  '\u00A0blanks\u3000',
  'ends with a byte order mark\uFEFF',
  'Ctrl-Z \u001A, and \b \u0001 \u001B \u007F',
  '\uE000 \uFFFF \u{10FFFF}',
].map((text, index) => ({ sku: `rare-${index}`, name: text, price: index, description: text }));

/** Products whose texts are drawn from awkward pieces. */
export function drawnProducts(count: number): Product[] {
  const pieces = [
    '"',
    '""',
    ',',
    '\n',
    '\r\n',
    '\r',
    '\\',
    '\\"',
    "'",
    'é',
    '漢',
    '😀',
    ' ',
    '\t',
    'NULL',
    '\\N',
    'a',
    ';',
    '?',
  ];
  const text = fc.array(fc.constantFrom(...pieces), { maxLength: 20 }).map((parts) => parts.join(''));
  const product = fc.record({ name: text, description: text, price: fc.nat(999_999_999) });
  return fc
    .sample(product, { seed: chosenSeed(), numRuns: count })
    .map((one, index) => ({ sku: skuOf(index, 'R'), ...one }));
}

/** A text that ends a description, and how many bytes of it come before the end of a chunk. */
const cuts: readonly (readonly [token: string, bytesBefore: number])[] = [
  ['😀', 1],
  ['😀', 2],
  ['😀', 3],
  ['é', 1],
  ['"', 1],
  ['a"', 2],
  ['\r\n', 1],
  ['"\r\n"', 2],
  ['"\r\n"', 3],
  ['\n', 1],
  ['', 0],
  ['', 1],
  ['', 2],
];

/**
 * A file with a text from `cuts` across each multiple of 16 KB. A module that reads chunks of that size, or of a larger power of
 * two, gets it in two pieces. Each text of `cuts` also lies across a multiple of 64 KB.
 */
export function cutDocument(): Document {
  const strideBytes = 16 * 1024;
  const products: Product[] = [];
  let offset = header.length + 2;
  const add = (product: Product) => {
    products.push(product);
    offset += Buffer.byteLength(recordOf(product, () => true)) + 2;
  };
  for (let stride = 1; stride <= 4 * cuts.length; stride++) {
    const [token, bytesBefore] = cuts[(stride % 4 === 0 ? stride / 4 : stride) % cuts.length]!;
    const room = () => stride * strideBytes - offset;
    while (room() > 1000) add(productOf(products.length, 'y'.repeat(300)));
    // What comes before the description in its record.
    const opening = Buffer.byteLength(recordOf(productOf(products.length, ''), () => true)) - 1;
    add(productOf(products.length, 'z'.repeat(room() - opening - bytesBefore) + token));
  }
  return documentOf(products, { lineEnd: '\r\n', quote: () => true });
}

function productOf(index: number, description: string): Product {
  return { sku: skuOf(index, 'C'), name: 'Cut', price: 1, description };
}

/** More bytes than one statement may have, and far fewer UTF-16 units. */
export const widestProducts: readonly Product[] = plainProducts(4_700).map((product) => ({
  ...product,
  name: '名'.repeat(200),
  description: '説'.repeat(1_000),
}));

/** Writes a file of that size with lines of about 1,000 bytes. The same 1,000 skus repeat. */
export async function writeLargeFile(path: string, bytes: number): Promise<void> {
  const products = plainProducts(1000, 970);
  const block = Buffer.from(`${products.map((product) => recordOf(product)).join('\n')}\n`);
  const file = await open(path, 'w');
  try {
    await file.write(`${header}\n`);
    for (let written = 0; written < bytes; written += block.length) await file.write(block);
  } finally {
    await file.close();
  }
}
