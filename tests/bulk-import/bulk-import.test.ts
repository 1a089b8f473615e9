import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { once } from '../../helpers/foundations/waiting/once.ts';
import { until } from '../../helpers/foundations/waiting/until.ts';
import { atRest, openDescriptors } from '../../helpers/instruments/gauges/gauges.ts';
import type { AccountOptions } from '../../helpers/instruments/mysql/test-database.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { chosenSeed } from '../../helpers/judging/drawn/seed.ts';
import { expectAtMost, expectThat, inWords } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/bulk-import/bulk-import.ts';
import {
  type Document,
  type Product,
  about,
  awkwardProducts,
  badRecords,
  cutDocument,
  documentOf,
  drawn,
  drawnProducts,
  plainProducts,
  productsOfSeveralLines,
  rareProducts,
  recordOf,
  widestProducts,
  withRecord,
  writeLargeFile,
} from './documents.ts';
import { known, observeDrops } from './drops.ts';
import { Importer, type Stage } from './importer.ts';
import { portsTried } from './inside.ts';
import { longFileFor } from './long-file.ts';
import { raceLoadData } from './race.ts';
import { Table } from './table.ts';

const megabyte = 1024 * 1024;
const largeFileBytes = 300 * megabyte;
/** What the process may hold for an import, beyond what it held before. */
const heldLimit = 64 * megabyte;
/** Statements for about 5,000 rows. */
const statementLimit = 500;

const test = judge<typeof Kata>('bulk-import')
  .extend('table', { scope: 'file' }, async ({ database }, { onCleanup }) => {
    const table = await Table.open(database);
    onCleanup(() => table.close());
    return table;
  })
  .extend('stage', { scope: 'file' }, ({ database, subjects, workspace, table }): Stage => {
    return { database, subjects, workspace, table };
  })
  .extend('importer', async ({ stage, task }, { onCleanup }) => {
    const importer = await Importer.open(stage);
    onCleanup(async () => {
      // After a broken promise, the next test gets a new process.
      if (task.result?.state === 'fail') await stage.subjects.end();
      await importer[Symbol.asyncDispose]();
    });
    return importer;
  })
  .extend('longFile', { scope: 'file' }, ({ stage }) => once(() => longFileFor(stage)))
  .extend('drops', { scope: 'file' }, ({ stage, longFile }) =>
    once(async () => await observeDrops(stage, await longFile())),
  );

describe('core', () => {
  test('Every row must arrive as it was written.', async ({ importer, table }) => {
    const few = documentOf(plainProducts(3));
    const padded = few.records[2]!.replace(/,(\d+),/, (_, price: string) => `,${price.padStart(9, '0')},`);
    const documents: [what: string, document: Document][] = [
      ['a file of 20 rows, some of several lines', documentOf(productsOfSeveralLines(20))],
      ['a file with a header and no row', documentOf([])],
      ['a file whose last line has no end', documentOf(plainProducts(3), { isEnded: false })],
      ['a file in which a price of nine digits begins with zeros', withRecord(few, 2, padded)],
      ['a file whose lines end with CRLF', documentOf(productsOfSeveralLines(20), { lineEnd: '\r\n' })],
      [
        'a file with LF and CRLF in turn, LF first',
        documentOf(productsOfSeveralLines(20), { lineEnd: ['\n', '\r\n'] }),
      ],
      [
        'a file with CRLF and LF in turn, CRLF first',
        documentOf(productsOfSeveralLines(20), { lineEnd: ['\r\n', '\n'] }),
      ],
      ['a file with awkward texts, in quotes where they need them', documentOf(awkwardProducts)],
      ['a file with awkward texts, all of them in quotes', documentOf(awkwardProducts, { quote: () => true })],
      ['a file with U+2028, U+2029, U+0085, U+00A0 and other rare characters', documentOf(rareProducts)],
      [
        'a file with rare characters such as U+2028, all texts in quotes',
        documentOf(rareProducts, { quote: () => true }),
      ],
      ['a file with a quote, line end or character across each multiple of 16 KB', cutDocument()],
      [
        `a file of 2,000 drawn rows, KATA_SEED=${chosenSeed()}`,
        documentOf(drawnProducts(2000), { quote: (field) => field.length % 2 === 0 }),
      ],
      ['4,700 rows with the longest texts, each character of three bytes: 17 MB', documentOf(widestProducts)],
    ];

    for (const [what, document] of documents) {
      await table.empty();
      const outcome = await importer.imports(document);
      expect(outcome, `${what}; the import`).toEqual({ rows: document.products.length, skipped: 0 });
      expectSame(await table.rows(), document, what);
    }
  });

  test('Rows must travel in batches, not in a statement each.', async ({ importer, table, onTestFinished }) => {
    const rows = about(5000);
    const what = `a file of ${rows} rows`;
    await table.empty();
    const writersSoFar = await table.noteWriters();
    onTestFinished(async () => void (await writersSoFar().catch(() => undefined)));

    const outcome = await importer.imports(documentOf(plainProducts(rows)));
    const { statements, threadIdsSoFar } = importer.proxy;
    const ports = await importer.subject.run(portsTried);
    const writers = await writersSoFar();

    expect(ports, `${what}; ports that the module connected to`).toEqual([importer.options.port]);
    expect(outcome, `${what}; the import`).toEqual({ rows, skipped: 0 });
    expect((await table.count()).ofFile, `${what}; rows in the table`).toBe(rows);
    expect(
      writers.filter((id) => !threadIdsSoFar.includes(id)),
      `${what}; sessions that inserted rows and did not come through the given port`,
    ).toEqual([]);
    expectAtMost(statements, statementLimit, `${what}; the server was given`, 'statements');
  });
});

describe('robust', () => {
  test('Memory must stay flat while the database is slow, however large the file is.', async ({
    importer,
    table,
    workspace,
    onTestFinished,
  }) => {
    const path = join(workspace, 'large.csv');
    onTestFinished(() => rm(path, { force: true }));
    await writeLargeFile(path, largeFileBytes);
    const what = `a file of ${inWords(largeFileBytes)}, and a database that takes nothing after 64 KB`;
    await table.empty();
    await importer.imports(documentOf(plainProducts(10)));
    const before = await importer.subject.heldBytes();
    let held = 0;
    const measure = async () => (held = (await importer.subject.heldBytes()) - before);
    // A module that holds so much need not read on to the end of the file.
    const holdsFarTooMuch = async () => (await measure()) > 2 * heldLimit;

    const stall = importer.proxy.stallAfter(64 * 1024);
    let isStalled = false;
    void stall.reached.then(() => (isStalled = true));
    await importer.begin(path);
    await importer.waitFor(stall.reached, holdsFarTooMuch);
    if (held <= 2 * heldLimit) await importer.waitFor(atRest(importer.subject), holdsFarTooMuch);
    if (held <= 2 * heldLimit) await measure();

    expect(await importer.outcomeSoFar(), `${what}; the import`).toBeUndefined();
    expectAtMost(held, heldLimit, `${what}; the process holds, beyond what it held before,`);
    expectThat(isStalled, `${what}; the import did not send as much as that, and did not end`);
  });

  test('A bad line must be refused with its number, and the import must leave nothing of the file.', async ({
    importer,
    table,
    longFile,
  }) => {
    const [few, many] = [documentOf(productsOfSeveralLines(80)), documentOf(productsOfSeveralLines(about(2500)))];
    const { document: long, rows: longRows } = await longFile();
    const { badRow } = drawn;
    const [badOfMany, lastOfMany] = [badRow * 30, many.products.length - 1];
    const refused: [what: string, document: Document, line: number][] = [
      ...badRecords(few.products[badRow]!).map(([what, record]): (typeof refused)[number] => [
        `of 80 rows ${what}`,
        withRecord(few, badRow, record),
        few.lines[badRow]!,
      ]),
      [
        'of 80 rows, the last one, has a quote that is never closed',
        withRecord(few, 79, 'P-1,Lamp,1,"x'),
        few.lines[79]!,
      ],
      [
        `of ${many.products.length} rows has the price abc`,
        withRecord(many, badOfMany, 'P-1,Lamp,abc,x'),
        many.lines[badOfMany]!,
      ],
      [
        `of ${many.products.length} rows, the last one, has five fields`,
        withRecord(many, lastOfMany, 'P-1,Lamp,1,x,y'),
        many.lines[lastOfMany]!,
      ],
      [
        `of ${longRows} rows, the last one, has the price abc`,
        withRecord(long, longRows - 1, 'P-1,Lamp,abc,x'),
        long.lines[longRows - 1]!,
      ],
    ];
    await table.fill(known);

    for (const [what, document, line] of refused) {
      const outcome = await importer.imports(document);
      const seen = `line ${line} of a file ${what}; the import`;
      expectThat('error' in outcome, `${seen} was answered ${JSON.stringify(outcome)} instead of being refused`);
      expect(outcome, seen).toEqual({ error: expect.stringMatching(new RegExp(`\\bline ${line}\\b`, 'i')) });
      expect(await table.count(), `${seen} was refused; rows in the table`).toEqual({
        ofFile: 0,
        fromBefore: known.length,
      });
    }

    expect(
      await importer.imports(many),
      'a file was refused for a bad line, which was then mended; the next import',
    ).toEqual({ rows: many.products.length, skipped: 0 });
  });

  test('When the connection drops, the import must leave nothing of the file and fail, or retry and complete it.', async ({
    drops,
  }) => {
    for (const { when, rows, rowsBefore, outcome, left, again } of await drops()) {
      const before = rowsBefore > 0 ? '; its last row was in the table before' : '';
      const what = `the connection was dropped ${when}${before}`;
      if (outcome instanceof Error) throw inContext(what, outcome);
      const ended = `${what}; the import ended with ${JSON.stringify(outcome)}`;
      if ('error' in outcome)
        expect([rowsBefore, rows], `${ended}; rows of the file in the table`).toContain(left.ofFile);
      else
        expect(
          { answered: outcome.rows + outcome.skipped, inTable: left.ofFile },
          `${ended}; rows that it answered with, and rows of the file in the table`,
        ).toEqual({ answered: rows, inTable: rows });
      expect(left.fromBefore, `${ended}; rows from before in the table`).toBe(known.length);
      if (again instanceof Error) throw inContext(`${ended}; then the same file again`, again);
      if (again) expect(again, `${ended}; then the same file again`).toEqual({ rows, skipped: 0 });
    }
  });

  test('Another session must never see a part of a file.', async ({ drops }) => {
    for (const { when, rows, rowsBefore, seen } of await drops())
      // A session that had to wait has seen nothing.
      expect([rowsBefore, rows], `${when}; rows of the file that another session saw`).toContain(seen ?? rowsBefore);
  });

  test('After an import, successful or refused, the module must leave no connection and no file open.', async ({
    importer,
    table,
    database,
    workspace,
  }) => {
    const good = documentOf(plainProducts(about(1500)));
    // Much more than a stream reads ahead. A stream that has come to its end closes the file by itself.
    const wide = documentOf(plainProducts(3000, 980, 'wide'));
    const cases: [what: string, source: Document | string, options?: Partial<AccountOptions>][] = [
      ['a file was imported', good],
      ['a file without rows was imported', documentOf([])],
      ['the server refused the password', good, { password: 'wrong' }],
      ['a file of 3 MB was refused for a bad line near its beginning', withRecord(wide, 10, 'bad')],
      ['a file was refused for a bad line', withRecord(documentOf(plainProducts(1500, 20, 'other')), 1200, 'bad')],
      ['an import was given a path without a file', join(workspace, 'not-there.csv')],
    ];
    await table.empty();

    for (const [what, source, options] of cases) {
      const outcome = await importer.imports(source, options);
      if (source === good && !options)
        expect(outcome, `${what}; the import`).toEqual({ rows: good.products.length, skipped: 0 });
      await table.sessionsEnd();
      expect((await database.sessions()).length, `${what}; connections still open`).toBe(0);
      if (typeof source === 'string') continue;
      const descriptors = async () => (await openDescriptors(importer.subject, importer.path)).length;
      await until(async () => (await descriptors()) === 0);
      expect(await descriptors(), `${what}; descriptors of the file still open`).toBe(0);
    }
  });
});

describe('stretch', () => {
  test('An import must skip rows whose sku is already in the table, and must not change what is there.', async ({
    importer,
    table,
  }) => {
    const rows = about(1100);
    const first = documentOf(plainProducts(rows));
    await table.empty();
    expect(await importer.imports(first), `a file of ${rows} rows; the import`).toEqual({ rows, skipped: 0 });
    expect(await importer.imports(first), 'the same file again; the import').toEqual({ rows: 0, skipped: rows });
    expectSame(await table.rows(), first, 'a file was imported twice');

    // Known skus with other texts, and new skus, in turn; one row repeated at once, and ten at the end.
    const fresh = plainProducts(rows, 60, 'new');
    const mixed = first.products.flatMap((product, index) => [
      { ...product, name: 'Other', price: 7, description: 'Other words.' },
      fresh[index]!,
    ]);
    const repeated = (from: number, to: number) =>
      mixed.slice(from, to).map((one) => ({ ...one, name: 'Repeated', description: 'Repeated.' }));
    const all = [...mixed.slice(0, 100), ...repeated(99, 100), ...mixed.slice(100), ...repeated(-10, mixed.length)];
    const what = `then a file with these ${rows} skus and other texts, ${rows} new skus, and 11 of its own skus again`;
    const outcome = await importer.imports(documentOf(all));
    expect(outcome, `${what}; the import`).toEqual({ rows, skipped: rows + 11 });
    expectSame(await table.rows(), documentOf([...first.products, ...fresh]), what);
  });

  test('100,000 rows must take at most five times as long as LOAD DATA.', async ({ stage, skip }) => {
    if (!(await stage.table.takesLoadData()))
      skip('this server takes no LOAD DATA LOCAL to compare with: its local_infile is OFF.');
    const { times, limit } = await raceLoadData(stage);
    expectAtMost(times, limit, 'a file of 100,000 rows; the import took', 'times as long as LOAD DATA');
  });
});

/** Fails with the shortest of the products that the table does not hold as they are in the document. */
function expectSame(rows: readonly Product[], { products, lines }: Document, what: string): void {
  const bySku = new Map(rows.map((row) => [row.sku, row]));
  const faults = products.flatMap((product, index) => {
    const where = `${what}; the row of line ${lines[index]}, ${shown(product.sku)},`;
    const { length } = recordOf(product);
    const row = bySku.get(product.sku);
    if (!row) return [{ length, sentence: `${where} is not in the table` }];
    const field = (['name', 'price', 'description'] as const).find((name) => row[name] !== product[name]);
    const texts =
      field && `has the ${field} ${shown(row[field])} in the table and ${shown(product[field])} in the file`;
    return field ? [{ length, sentence: `${where} ${texts}` }] : [];
  });
  const [shortest] = faults.toSorted((one, other) => one.length - other.length);
  expectThat(!shortest, `${shortest?.sentence}; ${faults.length} of ${products.length} rows are wrong`);
  const skus = new Set(products.map(({ sku }) => sku));
  const surplus = rows.find(({ sku }) => !skus.has(sku));
  expectThat(!surplus, `${what}; the table holds a row that is not in the file, ${shown(surplus)}`);
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 120 ? `${text.slice(0, 60)}…${text.slice(-40)}` : text;
}

/** The same error, which also says when it came. */
function inContext(what: string, error: Error): Error {
  error.message = `${what}; ${error.message}`;
  return error;
}
