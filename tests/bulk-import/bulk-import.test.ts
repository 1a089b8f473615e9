import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { RowDataPacket } from 'mysql2/promise';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { chosenSeed } from '../../helpers/judging/drawn/seed.ts';
import { noStuckDisk, stickDisk } from '../../helpers/instruments/disk/stuck-disk.ts';
import { atRest, openDescriptors } from '../../helpers/instruments/gauges/gauges.ts';
import { beginWork } from '../../helpers/instruments/gauges/work-clock.ts';
import { waitingThreads } from '../../helpers/instruments/mysql/lock-waits.ts';
import type { MysqlProxy } from '../../helpers/instruments/mysql/proxy.ts';
import { serverPid } from '../../helpers/mysql-server/server-process.ts';
import { useTestDatabase } from '../../helpers/instruments/mysql/use-test-database.ts';
import { median } from '../../helpers/judging/verdict/median.ts';
import { prepareSubjects } from '../../helpers/judging/subject/start-subject.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { useSubject } from '../../helpers/judging/subject/use-subject.ts';
import { expectAtMost, expectThat, inWords } from '../../helpers/judging/verdict/expect-that.ts';
import { until } from '../../helpers/foundations/waiting/until.ts';
import { useWorkspace } from '../../helpers/judging/subject/use-workspace.ts';
import type * as Kata from '../../katas/bulk-import/bulk-import.ts';
import {
  type Document,
  type Product,
  awkwardProducts,
  badRecords,
  cutDocument,
  documentOf,
  drawnProducts,
  largeFileBytes,
  plainProducts,
  productsOfSeveralLines,
  recordOf,
  withRecord,
  writeLargeFile,
} from './documents.ts';

const seed = chosenSeed();
const heldLimit = 64 * 1024 * 1024;
/**
 * LOAD DATA, and the import, of so many rows. Five times as long is promised. With waits for a processor left out, right answers were
 * measured on a very busy machine at 2.1 to 6.1 times with MySQL and to 7.0 with MariaDB, whose LOAD DATA is the quicker one; a
 * statement for each row at 29 times.
 */
const raceRows = 100_000;
/**
 * The best of so many imports counts: a processor may be half as fast in one second as in the next. By the clock alone, where the
 * server's process cannot be read, a busy machine blurs more, and a statement for each row takes from 13 times on.
 */
const [raceByWork, raceByClock] = [
  { limit: 10, times: 2 },
  { limit: 8, times: 4 },
];

const workspace = await useWorkspace();
prepareSubjects('bulk-import');
const importer = useSubject<typeof Kata, Kept>('bulk-import');
const database = await useTestDatabase('bulk-import');
const { admin } = database;
/** A session that looks into the table from outside. */
const looker = await database.connect();
afterAll(() => looker.destroy());

describe('core', () => {
  test('Every row must arrive as it was written.', async () => {
    await using party = await open();
    const drawn = drawnProducts(2000, seed);
    const few = documentOf(plainProducts(3));
    const documents: [what: string, document: Document][] = [
      ['an ordinary file of 20 rows', documentOf(productsOfSeveralLines(20))],
      ['a file with a header and no row', documentOf([])],
      ['a file whose last line has no end', documentOf(plainProducts(3), { isEnded: false })],
      ['a file with the price 000000002', withRecord(few, 2, few.records[2]!.replace(',2,', ',000000002,'))],
      ['a file whose lines end with CRLF', documentOf(productsOfSeveralLines(20), { lineEnd: '\r\n' })],
      [
        'a file whose lines end with LF and CRLF in turn, the header with LF',
        documentOf(productsOfSeveralLines(20), { lineEnd: ['\n', '\r\n'] }),
      ],
      [
        'a file whose lines end with CRLF and LF in turn, the header with CRLF',
        documentOf(productsOfSeveralLines(20), { lineEnd: ['\r\n', '\n'] }),
      ],
      ['a file with awkward fields, in quotes where they need them', documentOf(awkwardProducts)],
      ['a file with awkward fields, all of them in quotes', documentOf(awkwardProducts, { quote: () => true })],
      ['a file in which a token stands across each multiple of 16 KB', cutDocument()],
      [
        `a file of 2,000 rows drawn at random with KATA_SEED=${seed}`,
        documentOf(drawn, { quote: (field) => field.length % 2 === 0 }),
      ],
    ];

    for (const [what, document] of documents) {
      await empty();
      const outcome = await party.imports(document);
      expect(outcome, `${what}; the import`).toEqual({ rows: document.products.length, skipped: 0 });
      expectThat(...same(await table(), document, what));
    }
  });

  test('Rows must travel in batches, not in a statement each.', async () => {
    await using party = await open();
    const document = documentOf(plainProducts(5000));

    await empty();
    await logWriters();
    const outcome = await party.imports(document);
    const { statements, threadIdsSoFar } = party.proxy;
    const beside = (await loggedWriters()).filter((id) => !threadIdsSoFar.includes(id));

    expect(outcome, 'a file of 5,000 rows; the import').toEqual({ rows: 5000, skipped: 0 });
    expect((await table()).length, 'a file of 5,000 rows; rows in the table').toBe(5000);
    expect(statements, 'a file of 5,000 rows; statements that came through the given port').toBeGreaterThan(0);
    expect(
      beside,
      'a file of 5,000 rows; sessions that wrote into the table and did not come through the given port',
    ).toEqual([]);
    expect(statements, 'a file of 5,000 rows; statements that the server was given').toBeLessThanOrEqual(500);
  });
});

describe('robust', () => {
  test('Memory must stay flat while the database is slow, however large the file is.', async () => {
    await using party = await open();
    const { subject, proxy } = party;
    const path = join(workspace, 'large.csv');
    onTestFinished(() => rm(path, { force: true }));
    await writeLargeFile(path, largeFileBytes);
    await empty();
    await party.imports(documentOf(plainProducts(10)));
    const before = await subject.heldBytes();

    const stall = proxy.stallAfter(64 * 1024);
    let isStalled = false;
    void stall.reached.then(() => (isStalled = true));
    const what = `a file of ${inWords(largeFileBytes)}, and a database that stands still after 64 KB`;
    await party.start(path).catch((error: unknown) => {
      throw inContext(what, asError(error));
    });
    let [held, looks] = [0, 0];
    const measure = async () => (held = (await subject.heldBytes()) - before);
    // Who holds too much already need not read on to the end. Ever more seldom, for each measurement collects garbage.
    const holdsTooMuch = async () => Number.isInteger(Math.log2(++looks)) && (await measure()) > heldLimit;
    await until(async () => isStalled || (await party.state()) !== undefined || (await holdsTooMuch()), 60_000);
    if (held <= heldLimit) {
      await atRest(subject);
      await measure();
    }
    const outcome = await party.state();

    expect(outcome, `${what}; the import`).toBeUndefined();
    expectAtMost(held, heldLimit, `${what}; what the process holds went up by`);
    expectThat(isStalled, `${what}; the import sent less than that, and did not come to its end`);
  });

  test('A bad line must be refused with its number, and the import must leave nothing of the file.', async () => {
    await using party = await open();
    const [few, many] = [documentOf(productsOfSeveralLines(80)), documentOf(productsOfSeveralLines(2500))];
    const long = longDocument();
    const refused: [what: string, document: Document, line: number][] = [
      ...badRecords(few.products[60]!).map(([what, record]): (typeof refused)[number] => [
        `of 80 rows ${what}`,
        withRecord(few, 60, record),
        few.lines[60]!,
      ]),
      [
        'of 80 rows, the last one, has a quote that is never closed',
        withRecord(few, 79, 'P-1,Lamp,1,"x'),
        few.lines[79]!,
      ],
      ['of 2,500 rows has the price abc', withRecord(many, 1799, 'P-1,Lamp,abc,x'), many.lines[1799]!],
      ['of 2,500 rows, the last one, has five fields', withRecord(many, 2499, 'P-1,Lamp,1,x,y'), many.lines[2499]!],
      ['of 60,001 rows, the last one, has the price abc', withRecord(long, longRows, 'P-1,Lamp,abc,x'), longRows + 2],
    ];
    await empty();
    await party.imports(documentOf(known));

    for (const [what, document, line] of refused) {
      const outcome = await party.imports(document);
      const seen = `line ${line} of a file ${what}; the import`;
      expectThat('error' in outcome, `${seen} was answered ${JSON.stringify(outcome)} instead of being refused`);
      expect(outcome, seen).toEqual({ error: expect.stringMatching(new RegExp(`\\bline ${line}\\b`, 'i')) });
      expect(await counts(), `${seen} was refused; rows of the file in the table, and rows from before`).toEqual([
        0, 3,
      ]);
    }

    expect(
      await party.imports(many),
      'a file was refused for a bad line, which was then mended; the next import',
    ).toEqual({ rows: 2500, skipped: 0 });
  });

  test('When the connection drops, the import must leave nothing of the file and fail, or retry and complete it.', async () => {
    for await (const { what, outcome, left, strangers, again, all } of drops.all()) {
      if (outcome instanceof Error) throw inContext(what, outcome);
      const how = `${what}; the import ${'error' in outcome ? `failed: ${outcome.error}` : `was answered ${JSON.stringify(outcome)}`}`;
      if ('error' in outcome) expect([0, all], `${how}; of its ${all} rows, in the table`).toContain(left);
      else
        expect([sum(outcome), left], `${how}; rows and skipped, and of its ${all} rows in the table`).toEqual([
          all,
          all,
        ]);
      expect(strangers, `${how}; of the ${known.length} rows that were there before, in the table`).toBe(known.length);
      if (again instanceof Error) throw inContext(`${how}; then the same file again`, again);
      if (again) expect(again, `${how}; then the same file again`).toEqual({ rows: all, skipped: 0 });
    }
  });

  test('Another session must never see a part of a file.', async () => {
    for await (const { what, seen, all } of drops.all())
      // Who had to wait, or did not look, has seen nothing.
      expect([0, all], `${what}; rows of the file's ${all} that another session saw before that`).toContain(seen ?? 0);
  });

  test('After an import, successful or refused, the module must leave no connection and no file open.', async () => {
    await using party = await open();
    const good = documentOf(plainProducts(1500));
    // More than a stream reads ahead, so that a file that nobody closes is not at its end by then.
    const wide = documentOf(plainProducts(3000, 980, 'W'));
    const cases: [what: string, source: Document | string][] = [
      ['a file was imported', good],
      ['a file of 3 MB with a bad line near its beginning was to be imported', withRecord(wide, 10, 'bad')],
      ['a file with a bad line was to be imported', withRecord(documentOf(plainProducts(1500, 20, 'N')), 1200, 'bad')],
      ['a file that is not there was to be imported', join(workspace, 'not-there.csv')],
    ];

    await empty();
    for (const [what, source] of cases) {
      const outcome = await party.imports(source);
      if (source === good) expect(outcome, `${what}; the import`).toEqual({ rows: 1500, skipped: 0 });
      await until(async () => (await sessions()).length === 0);
      expect((await sessions()).length, `${what}; connections still open`).toBe(0);
      const stillOpen = async () => (await openDescriptors(party.subject, party.path)).length;
      await until(async () => (await stillOpen()) === 0);
      expect(await stillOpen(), `${what}; times that the process still has it open`).toBe(0);
    }
  });
});

describe('stretch', () => {
  test('An import must skip rows whose sku is already in the table, and must not change what is there.', async () => {
    await using party = await open();
    const first = documentOf(plainProducts(1100));
    await empty();
    expect(await party.imports(first), 'a file of 1,100 rows; the import').toEqual({ rows: 1100, skipped: 0 });
    expect(await party.imports(first), 'the same file again; the import').toEqual({ rows: 0, skipped: 1100 });
    expectThat(...same(await table(), first, 'a file was imported twice'));

    // Known and new in turn, the known ones in other words; a new one twice in a row, and ten once more at the end.
    const fresh = plainProducts(1100, 60, 'new');
    const mixed = first.products.flatMap((product, index) => [
      { ...product, name: 'Other', price: 7, description: 'Other words.' },
      fresh[index]!,
    ]);
    const repeated = (from: number, to: number) =>
      mixed.slice(from, to).map((one) => ({ ...one, name: 'Repeated', description: 'Repeated.' }));
    const all = [...mixed.slice(0, 100), ...repeated(99, 100), ...mixed.slice(100), ...repeated(-10, mixed.length)];
    const what = 'then a file with these 1,100 skus in other words, 1,100 new ones, and 11 of its own skus again';
    const outcome = await party.imports(documentOf(all));
    expect(outcome, `${what}; the import`).toEqual({ rows: 1100, skipped: 1111 });
    expectThat(...same(await table(), documentOf([...first.products, ...fresh]), what));
  });

  test('100,000 rows must take at most five times as long as LOAD DATA.', async ({ skip }) => {
    const [[local]] = await admin.query<RowDataPacket[]>('SELECT @@local_infile AS allowed');
    if (Number(local!.allowed) === 0)
      skip('this server takes no LOAD DATA LOCAL to compare with: its local_infile is OFF.');
    const csv = Buffer.from(documentOf(plainProducts(raceRows)).csv);
    const path = join(workspace, 'race.csv');
    onTestFinished(() => rm(path, { force: true }));
    await writeFile(path, csv);

    const server = await serverPid(admin);
    const loadsMs: number[] = [];
    const { limit, times } = server === undefined ? raceByClock : raceByWork;
    const limitMs = () => limit * median(loadsMs);
    const load = async () => {
      // Whatever the module still does or locks must not slow this down.
      await endModule();
      await empty();
      // This thread sends the rows: while it waits for a processor, the server has nothing to do.
      const spentMs = await beginWork(server === undefined ? [] : [server, 'this thread']);
      await loadData(csv);
      loadsMs.push(await spentMs());
      await empty();
    };
    await load();
    let importMs = Infinity;
    for (let time = 1; time <= times && importMs > limitMs(); time++) {
      importMs = Math.min(importMs, await timedImport(path, server, limitMs()));
      // However quick another LOAD DATA is, the mean of the two is half of the first one at least.
      if (importMs > limitMs() / 2) await load();
    }

    expectThat(
      importMs <= limitMs(),
      `a file of 100,000 rows; LOAD DATA took ${loadsMs.map(Math.round).join(', ')} ms; the import was not done after ${Math.round(limitMs())} ms, which is ${limit} times as long`,
    );
  });
});

/** How an import went. */
type Outcome = { readonly rows: number; readonly skipped: number } | { readonly error: string };

interface Kept {
  call: Promise<Outcome>;
}

/** A process with the module, and its way to the database. */
interface Party extends AsyncDisposable {
  readonly subject: Subject<typeof Kata, Kept>;
  readonly proxy: MysqlProxy;
  /** The file of the last import that was given as a document. */
  readonly path: string;
  /** Imports a document, or the file of this path, and says how it went. */
  imports(source: Document | string): Promise<Outcome>;
  /** Begins an import; there is one at a time. */
  start(path: string): Promise<void>;
  /** How it went, when it is over. */
  outcome(): Promise<Outcome>;
  /** How it went, if it is over by now. */
  state(): Promise<Outcome | undefined>;
}

/** A connection that was dropped in the middle of an import, and what was seen then. */
interface Drop {
  readonly what: string;
  /** How many rows the file has. */
  readonly all: number;
  /** How the import went; an error when its process did not live to tell. */
  readonly outcome: Outcome | Error;
  /** How many rows of the file another session saw before the drop, where it looked. */
  readonly seen: number | undefined;
  /** How many rows of the file were in the table when all was over, and how many others. */
  readonly left: number;
  readonly strangers: number;
  /** How the import of the same file went after that, when nothing had stayed of it, and it was tried. */
  readonly again: Outcome | Error | undefined;
}

/** When to drop a connection, and which file is imported then. */
interface DropOrder {
  readonly moment: Moment;
  readonly file: string;
  readonly all: number;
}

/** Drops the connection at some moment of an import that it begins; undefined when the import was over before. */
type Moment = (party: Party, path: string) => Promise<Pick<Drop, 'what' | 'seen'> | undefined>;

const known = plainProducts(3, 20, 'known');
const dropped = documentOf(plainProducts(1200, 980));
/** So many that whoever commits now and then, even every 50,000 rows, has done so before the file's end. */
const longRows = 60_000;
/** Made once; its last row is one more, which a test can make bad. */
const longDocument = once(() => documentOf(plainProducts(longRows + 1)));

/** The same import again and again, its connection dropped at another moment each time; two promises are about it. */
const drops = shared(async function* () {
  const file = await writeDocument(dropped);
  const { commands, bytesSent } = await unbroken(file);
  const rowsOfSample = 2000;
  const sample = await unbroken(await writeDocument(documentOf(plainProducts(rowsOfSample))));
  const nearlyAll = Math.round((sample.bytesSent / rowsOfSample) * longRows * 0.95);
  const ofShort = (moment: Moment): DropOrder => ({ moment, file, all: dropped.products.length });
  expectThat(commands > 0, 'a file of 1,200 rows was imported, and nothing came through the given port');
  const orders = [
    ofShort(inTheMiddleOf(bytesSent)),
    ...stepsOf(commands).map((step) => ofShort(afterStatement(step))),
    ...lastOf(commands).map((step) => ofShort(beforeStatement(step))),
    ...(noStuckDisk === undefined ? [ofShort(whileTheFileHangs(Math.ceil(commands / 2)))] : []),
    { moment: nearTheEndOf(nearlyAll), file: await writeDocument(longDocument()), all: longRows + 1 },
  ];
  // A whole import takes its time, so the same file is given again after one drop only: the first that left nothing of it.
  let isImportedAgain = false;
  for (const order of orders) {
    const drop = await observe(order, !isImportedAgain);
    isImportedAgain ||= drop?.again !== undefined;
    if (drop) yield drop;
  }
});
afterAll(() => drops.end());

const manyCommands = 100;

/** Which of so many statements to drop the connection after: the first and the last few, and one between; of hundreds, three. */
function stepsOf(commands: number): number[] {
  const all = Array.from({ length: commands }, (_, index) => index + 1);
  const few = commands > manyCommands ? 1 : 3;
  return all.filter((step) => step <= few || step > commands - few || step === Math.ceil(commands / 2));
}

function afterStatement(step: number): Moment {
  return async (party, path) => {
    const hold = party.proxy.holdCommand(step);
    await party.start(path);
    if (!(await comesFirst(hold.reached, party))) {
      hold.release();
      return undefined;
    }
    const { sql } = await hold.reached;
    const seen = await glimpse();
    party.proxy.drop();
    return {
      what: `the connection was dropped with the answer to statement ${step} on its way, ${beginning(sql)}`,
      seen,
    };
  };
}

/** The last few, among which the commit is. */
function lastOf(commands: number): number[] {
  return Array.from({ length: Math.min(3, commands) }, (_, index) => commands - index);
}

/** Nobody may be told that the file was imported while the server does not even have the commit. */
function beforeStatement(step: number): Moment {
  return async (party, path) => {
    const hold = party.proxy.holdCommand(step, 'before');
    await party.start(path);
    if (!(await comesFirst(hold.reached, party, true))) {
      hold.release();
      return undefined;
    }
    const { sql } = await hold.reached;
    await atRest(party.subject);
    party.proxy.drop();
    return {
      what: `the connection was dropped before the server had statement ${step}, ${beginning(sql)}`,
      seen: undefined,
    };
  };
}

function nearTheEndOf(bytes: number): Moment {
  return async (party, path) => {
    const stall = party.proxy.stallAfter(bytes);
    await party.start(path);
    const isStalled = await comesFirst(stall.reached, party);
    const seen = isStalled ? await glimpse() : undefined;
    party.proxy.drop();
    stall.release();
    return isStalled
      ? { what: 'the connection was dropped when 19 of 20 bytes of a file of 60,001 rows had come through', seen }
      : undefined;
  };
}

function inTheMiddleOf(bytes: number): Moment {
  return async (party, path) => {
    const stall = party.proxy.stallAfter(Math.round(bytes / 2));
    await party.start(path);
    const isStalled = await comesFirst(stall.reached, party);
    party.proxy.drop();
    stall.release();
    return isStalled
      ? { what: 'the connection was dropped when half of what the import sends had come through', seen: undefined }
      : undefined;
  };
}

function whileTheFileHangs(step: number): Moment {
  return async (party, path) => {
    const hold = party.proxy.holdCommand(step);
    await party.start(path);
    const isHeld = await comesFirst(hold.reached, party);
    await using disk = await stickDisk(party.subject, workspace);
    hold.release();
    // On a busy machine the answer may be on its way for long: the end of the connection comes after it, in the same stream.
    await party.proxy.hangUp();
    await atRest(party.subject);
    await disk.release().catch(() => undefined);
    return isHeld
      ? { what: 'the connection was dropped while the import waited for more of its file', seen: undefined }
      : undefined;
  };
}

async function unbroken(file: string): Promise<Pick<MysqlProxy, 'commands' | 'bytesSent'>> {
  await using party = await open();
  await fill();
  await party.imports(file);
  const { commands, bytesSent } = party.proxy;
  return { commands, bytesSent };
}

async function observe({ moment, file, all }: DropOrder, isForAgain: boolean): Promise<Drop | undefined> {
  await using party = await open();
  await fill();
  const provoked = await moment(party, file);
  const outcome = await party.outcome().catch(asError);
  // What the server was asked for last it may still be doing, and then has to take back.
  await until(async () => (await sessionsBeside(party)).length === 0);
  await atRest(party.subject);
  const [left, strangers] = await counts();
  if (!provoked) return undefined;
  const again = left > 0 || !isForAgain ? undefined : await party.imports(file).catch(asError);
  return { ...provoked, all, outcome, left, strangers, again };
}

/** Whether that comes before the import is over; what an import has sent just before it was over may come a little later. */
async function comesFirst(event: Promise<unknown>, party: Party, isLateToo = false): Promise<boolean> {
  let hasCome = false;
  void event.then(() => (hasCome = true));
  await until(async () => hasCome || (await party.state().catch(asError)) !== undefined, 60_000);
  if (!hasCome && isLateToo) await until(async () => hasCome || (await sessions()).length === 0);
  return hasCome;
}

/** How many rows of the file another session sees now; undefined when it has to wait. */
async function glimpse(): Promise<number | undefined> {
  let seen: number | undefined;
  counts(looker).then(
    ([ofFile]) => (seen = ofFile),
    () => undefined,
  );
  await until(async () => seen !== undefined || (await waitingThreads(admin, [looker.threadId])).size > 0);
  return seen;
}

function once<T>(make: () => T): () => T {
  let made: { readonly it: T } | undefined;
  return () => (made ??= { it: make() }).it;
}

/** What several tests look at, made as far as one of them has asked for it. */
function shared<T>(make: () => AsyncGenerator<T>): { all(): AsyncGenerator<T>; end(): Promise<unknown> } {
  const [source, made] = [make(), [] as T[]];
  let failure: Error | undefined;
  return {
    async *all() {
      for (let index = 0; ; index++) {
        if (index === made.length) {
          if (failure) throw failure;
          const { done, value } = await source.next().catch((error: unknown) => {
            throw (failure = asError(error));
          });
          if (done) return;
          made.push(value);
        }
        yield made[index]!;
      }
    },
    end: () => source.return(undefined),
  };
}

/** Takes the process with the module; with `isDirect` there is no proxy between it and the server. */
async function open({ isDirect = false } = {}): Promise<Party> {
  const proxy = await database.proxy('A');
  const subject = await importer.running();
  const options = await subject.addressInside(database.accountOptions(isDirect ? undefined : proxy));
  let lastPath = '';
  const party: Party = {
    subject,
    proxy,
    get path() {
      return lastPath;
    },
    async imports(source) {
      const path = typeof source === 'string' ? source : (lastPath = await writeDocument(source));
      await party.start(path);
      const outcome = await party.outcome();
      // What it has asked for last the server may still be doing or taking back, which the next look would meet.
      if (!keepsSessions) keepsSessions = !(await sessionsEnd());
      return outcome;
    },
    async start(path) {
      await subject.evaluate(
        (kata, args, kept) => {
          const run = async () => {
            const { rows, skipped } = await kata.importCsv(args.path, args.options);
            return { rows, skipped };
          };
          kept.call = run().catch((error: unknown) => ({ error: String((error as Error)?.message ?? error) }));
        },
        { path, options },
      );
    },
    async outcome() {
      let outcome: Outcome | undefined;
      // A limit for what never comes; each look takes two seconds, or as long as the import does.
      for (let look = 1; look <= 30 && !outcome; look++) {
        outcome = await subject.evaluate((_kata, _args, { call }) => {
          const pause = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 2000));
          return Promise.race([call, pause]);
        });
      }
      expectThat(outcome !== undefined, 'the import neither came to its end nor failed');
      return outcome!;
    },
    state: () =>
      subject.evaluate((_kata, _args, { call }) => {
        const turn = new Promise<undefined>((resolve) => setImmediate(() => resolve(undefined)));
        return Promise.race([call, turn]);
      }),
    async [Symbol.asyncDispose]() {
      if (!(await isIdle(party).catch(() => false))) await importer.end();
      await proxy[Symbol.asyncDispose]();
      await until(async () => (await sessionsBeside(party)).length === 0);
    },
  };
  return party;
}

/** Whether an import is over and has ended its sessions; if not, what is left of it must not meet the next one. */
async function isIdle(party: Party): Promise<boolean> {
  const { subject, proxy } = party;
  if (!subject.alive || (await party.state()) === undefined) return false;
  await atRest(subject);
  return proxy.threadIds.length === 0 && (await sessionsBeside(party)).length === 0;
}

/** The server's ids of the module's sessions. */
async function sessions(): Promise<number[]> {
  const [rows] = await admin.query<RowDataPacket[]>('SELECT id FROM information_schema.processlist WHERE user = ?', [
    database.name,
  ]);
  return rows.map(({ id }) => Number(id));
}

/** Waits until the module has no sessions, and says whether that came true. */
function sessionsEnd(): Promise<boolean> {
  return until(async () => (await sessions()).length === 0);
}

/** Ends the module's process and whatever sessions it leaves. */
async function endModule(): Promise<void> {
  await importer.end();
  if (await sessionsEnd()) return;
  for (const id of await sessions()) await admin.query('KILL ?', [id]).catch(() => undefined);
  await sessionsEnd();
}

/** From now on, and until the test is over, the server notes which sessions add rows. */
async function logWriters(): Promise<void> {
  onTestFinished(async () => {
    await admin.query('DROP TRIGGER IF EXISTS note_writer');
    await admin.query('DROP TABLE IF EXISTS writers');
  });
  await admin.query('CREATE TABLE writers (id BIGINT UNSIGNED PRIMARY KEY)');
  await admin.query(
    'CREATE TRIGGER note_writer BEFORE INSERT ON products FOR EACH ROW INSERT IGNORE INTO writers VALUES (CONNECTION_ID())',
  );
}

async function loggedWriters(): Promise<number[]> {
  const [rows] = await admin.query<RowDataPacket[]>('SELECT id FROM writers');
  return rows.map(({ id }) => Number(id));
}

/** Those that do not go through the proxy, or no longer. */
async function sessionsBeside({ proxy }: Party): Promise<number[]> {
  return (await sessions()).filter((id) => !proxy.threadIds.includes(id));
}

/** Set when a session was still there long after an import was over; then nobody waits for the next ones. */
let keepsSessions = false;

let files = 0;

async function writeDocument({ csv }: Document): Promise<string> {
  const path = join(workspace, `import-${++files}.csv`);
  await writeFile(path, csv);
  return path;
}

async function empty(): Promise<void> {
  await admin.query('TRUNCATE TABLE products');
}

/** Nothing in the table but what was there before any file. */
async function fill(): Promise<void> {
  await empty();
  await admin.query('INSERT INTO products (sku, name, price, description) VALUES ?', [
    known.map(({ sku, name, price, description }) => [sku, name, price, description]),
  ]);
}

async function table(): Promise<Product[]> {
  const [rows] = await admin.query<RowDataPacket[]>('SELECT sku, name, price, description FROM products');
  return rows as unknown as Product[];
}

/** How many rows there are of a file, and how many others. */
async function counts(session = admin): Promise<[ofFile: number, others: number]> {
  const [[row]] = await session.query<RowDataPacket[]>(
    "SELECT COUNT(*) AS count, COUNT(IF(sku LIKE 'P-%', 1, NULL)) AS ofFile FROM products",
  );
  return [Number(row!.ofFile), Number(row!.count) - Number(row!.ofFile)];
}

async function loadData(csv: Buffer): Promise<void> {
  await admin.query({
    sql: "LOAD DATA LOCAL INFILE 'race' INTO TABLE products CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' LINES TERMINATED BY '\\n' IGNORE 1 LINES",
    // Not from its file, which other threads would read.
    infileStreamFactory: () => Readable.from(chunksOf(csv, 64 * 1024)),
  });
}

function* chunksOf(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Imports the 100,000 rows into an empty table, and says how long that took; Infinity when it was not done within the limit. */
async function timedImport(path: string, server: number | undefined, limitMs: number): Promise<number> {
  await using party = await open({ isDirect: true });
  await party.imports(documentOf(plainProducts(2000)));
  await empty();
  const spentMs = await beginWork(server === undefined ? [] : [party.subject, server]);
  await party.start(path);
  let outcome: Outcome | undefined;
  const over = party.outcome().then((its) => (outcome = its));
  over.catch(() => undefined);
  while (outcome === undefined && (await spentMs()) <= limitMs) await Promise.race([over, delay(20)]);
  const importMs = await spentMs();
  if (outcome === undefined) return Infinity;
  expect(outcome, 'a file of 100,000 rows; the import').toEqual({ rows: raceRows, skipped: 0 });
  await sessionsEnd();
  expect(await counts(), 'a file of 100,000 rows; of these in the table, and others').toEqual([raceRows, 0]);
  return importMs;
}

/** Whether the table holds the products of the document; if not, with the shortest of those that differ. */
function same(rows: readonly Product[], document: Document, what: string): [holds: boolean, sentence: string] {
  const { products, lines } = document;
  const bySku = new Map(rows.map((row) => [row.sku, row]));
  const where = (index: number) => `${what}; the row of line ${lines[index]}, ${shown(products[index]!.sku)},`;
  const faults = products.flatMap((product, index) => {
    const row = bySku.get(product.sku);
    if (!row) return [{ length: Infinity, sentence: `${where(index)} is not in the table` }];
    const field = (['name', 'price', 'description'] as const).find((name) => row[name] !== product[name]);
    if (!field) return [];
    const sentence = `${where(index)} has the ${field} ${shown(row[field])} in the table, and ${shown(product[field])} in the file`;
    return [{ length: recordOf(product).length, sentence }];
  });
  const [worst] = faults.sort((one, other) => one.length - other.length);
  if (worst) return [false, `${worst.sentence}; ${faults.length} of ${products.length} rows are not as they should be`];
  const skus = new Set(products.map(({ sku }) => sku));
  const surplus = rows.find(({ sku }) => !skus.has(sku));
  return [!surplus, `${what}; the table holds a row that is not in the file, ${shown(surplus)}`];
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 120 ? `${text.slice(0, 60)}…${text.slice(-40)}` : text;
}

function beginning(sql: string): string {
  return sql.length > 60 ? `${sql.slice(0, 60)}…` : sql;
}

function sum({ rows, skipped }: { rows: number; skipped: number }): number {
  return Number(rows) + Number(skipped);
}

function asError(error: unknown): Error {
  return error as Error;
}

/** The same error, which also says when it came. */
function inContext(what: string, error: Error): Error {
  error.message = `${what}; ${error.message}`;
  return error;
}
