import { stickDisk, noStuckDisk } from '../../helpers/instruments/disk/stuck-disk.ts';
import { atRest } from '../../helpers/instruments/gauges/gauges.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import { type Product, about, documentOf, plainProducts } from './documents.ts';
import { Importer, type Stage, writeDocument } from './importer.ts';
import type { Outcome } from './inside.ts';
import type { LongFile } from './long-file.ts';
import type { RowCounts } from './table.ts';

/** An import whose connection was dropped, and what was seen. */
export interface Drop {
  /** When the connection was dropped. */
  readonly when: string;
  /** How many rows the file has. */
  readonly rows: number;
  /** How many of them were in the table before. */
  readonly rowsBefore: number;
  /** How many rows of the file another session saw just before the drop; undefined if it did not look or had to wait. */
  readonly seen: number | undefined;
  /** An error if the process or the import did not come to an end by itself. */
  readonly outcome: Outcome | Error;
  /** What the table held when all was over. */
  readonly left: RowCounts;
  /** How the next import of the same file ended, if there was one. */
  readonly again: Outcome | Error | undefined;
}

/** Begins an import and drops its connection at some moment. Undefined if the import was over before that moment. */
type Disturb = (importer: Importer, stage: Stage, path: string) => Promise<Pick<Drop, 'when' | 'seen'> | undefined>;

/** Rows that were in the table before any file. */
export const known = plainProducts(3, 20, 'known');

/**
 * Imports files again and again and drops the connection at another moment each time. The first file whose import leaves nothing
 * is imported once more.
 */
export async function observeDrops(stage: Stage, longFile: LongFile): Promise<Drop[]> {
  const short = documentOf(plainProducts(about(1200), 980));
  const path = await writeDocument(stage, short);
  const { commands, bytesSent } = await undisturbed(stage, path);
  expectThat(
    commands > 0,
    `a file of ${short.products.length} rows was imported, and nothing came through the given port`,
  );

  const ofShort = (disturb: Disturb) => ({ disturb, path, rows: short.products.length, before: [] as Product[] });
  // That the last row is in the table says nothing about the file then.
  const ofKnown = (disturb: Disturb) => ({ ...ofShort(disturb), before: short.products.slice(-1) });
  const disturbances = [
    ofShort(dropAtByte(bytesSent / 2, 'when half of the bytes had been sent')),
    ...someOf(commands).map((step) => ofShort(dropAfterStatement(step))),
    ...lastOf(commands).map((step) => ofKnown(dropBeforeStatement(step))),
    ...(noStuckDisk === undefined ? [ofShort(dropWhileReading(Math.ceil(commands / 2)))] : []),
    {
      disturb: dropAtByte(
        longFile.bytesPerRow * longFile.rows * 0.95,
        `near the end of a file of ${longFile.rows} rows`,
      ),
      path: await writeDocument(stage, longFile.document),
      rows: longFile.rows,
      before: [],
    },
  ];

  const drops: Drop[] = [];
  for (const { disturb, path: file, rows, before } of disturbances) {
    const isForAgain = !drops.some(({ again }) => again !== undefined);
    const drop = await observe(stage, disturb, { path: file, rows, before, isForAgain });
    if (drop) drops.push(drop);
    if (drop?.outcome instanceof Error) break;
  }
  return drops;
}

async function observe(
  stage: Stage,
  disturb: Disturb,
  { path, rows, before, isForAgain }: { path: string; rows: number; before: readonly Product[]; isForAgain: boolean },
): Promise<Drop | undefined> {
  await using importer = await Importer.open(stage);
  await stage.table.fill([...known, ...before]);
  const seen = await disturb(importer, stage, path);
  const outcome = await importer.outcome().catch(asError);
  await importer.settles();
  await atRest(importer.subject);
  const left = await stage.table.count();
  if (!seen) return undefined;
  const isTriedAgain = isForAgain && left.ofFile === 0 && !(outcome instanceof Error);
  const again = isTriedAgain ? await importer.imports(path).catch(asError) : undefined;
  return { ...seen, rows, rowsBefore: before.length, outcome, left, again };
}

async function undisturbed(stage: Stage, path: string): Promise<Pick<Importer['proxy'], 'commands' | 'bytesSent'>> {
  await using importer = await Importer.open(stage);
  await stage.table.fill(known);
  await importer.imports(path);
  const { commands, bytesSent } = importer.proxy;
  return { commands, bytesSent };
}

/** The first and the last two statements, and one between; of hundreds, only the first, one between, and the last. */
function someOf(commands: number): number[] {
  const few = commands > 100 ? 1 : 2;
  return Array.from({ length: commands }, (_, index) => index + 1).filter(
    (step) => step <= few || step > commands - few || step === Math.ceil(commands / 2),
  );
}

/** The last two statements, one of which is the commit. */
function lastOf(commands: number): number[] {
  return Array.from({ length: Math.min(2, commands) }, (_, index) => commands - index);
}

/** The server has run the statement, and its answer is lost. */
function dropAfterStatement(step: number): Disturb {
  return async (importer, { table }, path) => {
    const hold = importer.proxy.holdCommand(step);
    await importer.begin(path);
    if (!(await importer.happens(hold.reached))) {
      hold.release();
      return undefined;
    }
    const { sql } = await hold.reached;
    const seen = await table.seenByVisitor();
    importer.proxy.drop();
    return { when: `after the server ran statement ${step}, ${beginning(sql)}, and before its answer arrived`, seen };
  };
}

/** The server never gets the statement. A module that does not wait for it reports a success all the same. */
function dropBeforeStatement(step: number): Disturb {
  return async (importer, _stage, path) => {
    const hold = importer.proxy.holdCommand(step, 'before');
    await importer.begin(path);
    if (!(await importer.happens(hold.reached))) {
      hold.release();
      return undefined;
    }
    const { sql } = await hold.reached;
    await atRest(importer.subject);
    importer.proxy.drop();
    return { when: `before the server got statement ${step}, ${beginning(sql)}`, seen: undefined };
  };
}

function dropAtByte(bytes: number, when: string): Disturb {
  return async (importer, { table }, path) => {
    const stall = importer.proxy.stallAfter(Math.round(bytes));
    await importer.begin(path);
    const isStalled = await importer.happens(stall.reached);
    const seen = isStalled ? await table.seenByVisitor() : undefined;
    importer.proxy.drop();
    stall.release();
    return isStalled ? { when, seen } : undefined;
  };
}

/** No statement is under way then: the module hears of the loss only by an event, or with its next statement. */
function dropWhileReading(step: number): Disturb {
  return async (importer, { workspace }, path) => {
    const hold = importer.proxy.holdCommand(step);
    await importer.begin(path);
    const isHeld = await importer.happens(hold.reached);
    await using disk = await stickDisk(importer.subject, workspace);
    hold.release();
    // The answer may be slow on a busy machine. The end of the connection follows it in the same stream.
    await importer.proxy.hangUp();
    await atRest(importer.subject);
    await disk.release().catch(() => undefined);
    return isHeld ? { when: 'while the import waited for more of its file', seen: undefined } : undefined;
  };
}

function beginning(sql: string): string {
  return sql.length > 60 ? `${sql.slice(0, 60)}…` : sql;
}

function asError(error: unknown): Error {
  return error as Error;
}
