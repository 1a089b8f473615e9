import { describe, expect } from 'vitest';
import { once } from '../../helpers/foundations/waiting/once.ts';
import { settles, until } from '../../helpers/foundations/waiting/until.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { explore, heldCommand, standstillOf } from '../../helpers/instruments/mysql/schedule-explorer.ts';
import { expectAtMost, expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/slow-query/slow-query.ts';
import { at, bursts, drawn, ofTheYear, refunds, watched, yearsEnds } from './drawn.ts';
import { type OnePage, type Outcome, latest, migrate, page, pageAfterPages, totals } from './inside.ts';
import { type PlanLine, type Row, type Service, Shop } from './shop.ts';

const { customer, limit, many, year } = drawn;
const [smallCount, largeCount] = [5_000, 50_000];
/** So many of the orders are at one time, the oldest. One late page is before them, and one amid them. */
const imported = 2_000;
const pageSize = 250;
/** A page that somebody may ask for who exports orders. */
const largePage = 2_000;
const pagesBefore = [10, 16] as const;
/** A statement that changes the table. */
const changesTable = /^\s*(CREATE|ALTER)\b/i;

const test = judge<typeof Kata>('slow-query', { spares: 1 })
  .extend('shopOfFile', { scope: 'file' }, async ({ database, subjects }, { onCleanup }) => {
    const shop = await Shop.open(database, subjects);
    onCleanup(() => shop.end());
    return shop;
  })
  .extend('measured', { scope: 'file' }, ({ shopOfFile }) => once(() => measure(shopOfFile)))
  // After a promise that fails, the next test gets new processes.
  .extend('shop', async ({ shopOfFile, task }, { onCleanup }) => {
    onCleanup(async () => {
      if (task.result?.state === 'fail') await shopOfFile.end();
    });
    return shopOfFile;
  });

describe('core', () => {
  test('latest must return the newest orders of the customer, newest first, and higher ids first at equal times.', async ({
    shop,
  }) => {
    const { subject } = await shop.service();
    await shop.newTable(bursts());
    await expectMigrated(shop);
    for (const customerId of [customer, customer + 1, customer + 2, customer + 3])
      for (const most of [1, limit, 100]) {
        const rows = await shop.rows('customer_id = ?', [customerId]);
        const seen = valueOf(await subject.run(latest, { customerId, limit: most }), 'latest');
        expect(seen, `a customer with ${rows.length} orders; latest with limit ${most}`).toEqual(
          rows.slice(0, most).map(toSummary),
        );
      }

    await shop.insert([{ customerId: customer, at: at(400 * 86_400_000_000), cents: 1 }]);
    const [newest] = await shop.rows('customer_id = ?', [customer]);
    const seen = valueOf(await subject.run(latest, { customerId: customer, limit: 1 }), 'latest');
    expect(seen, 'after a newer order came in, latest with limit 1').toEqual([toSummary(newest!)]);
  });

  test('page must return every order once, newest first, page by page.', async ({ shop }) => {
    await shop.newTable([]);
    await expectMigrated(shop);
    const none = await followCursors(shop, limit);
    expect(
      none.flatMap(({ orders }) => orders),
      'pages of an empty table',
    ).toEqual([]);

    // Ids that do not fit into 32 bits.
    await shop.database.admin.query(`ALTER TABLE orders AUTO_INCREMENT = ${2 ** 32 + 1}`);
    await shop.insert(bursts());
    const rows = await shop.rows();
    for (const most of [1, 4, limit, rows.length, 100]) {
      const pages = await followCursors(shop, most);
      expect(
        pages.flatMap(({ orders }) => orders),
        `${rows.length} orders, some at equal times, in pages of ${most}`,
      ).toEqual(rows.map((row) => ({ ...toSummary(row), customerId: row.customerId, note: row.note })));
    }

    await shop.insertHistory(customer, 1, largePage + many, year);
    const all = await shop.rows();
    const seen = idsOf(await followCursors(shop, largePage));
    const what = `${all.length} orders, in pages of ${largePage}`;
    expect(new Set(seen).size, `${what}; different orders that were returned`).toBe(all.length);
    const wrong = seen.findIndex((id, index) => id !== all[index]?.id);
    expectThat(
      wrong === -1,
      `${what}; order ${wrong + 1} of them is ${seen[wrong]}, expected ${all[wrong]?.id ?? 'no more'}`,
    );
  });

  test('totals must return the exact sum of the year for each customer, or 0.', async ({ shop }) => {
    const { subject } = await shop.service();
    await shop.newTable([...bursts(), ...yearsEnds(), ...refunds()]);
    await expectMigrated(shop);
    const all = [customer, customer + 1, customer + 2, customer + 3, customer + 4];
    for (const ofYear of [year - 1, year, year + 1])
      for (const customerIds of [
        all,
        all.slice(0, 1),
        all.slice(3, 4),
        all.slice(4),
        [customer, customer + 1, customer],
        [],
      ]) {
        const rows = await shop.rows('created_at >= ? AND created_at < ?', [`${ofYear}-01-01`, `${ofYear + 1}-01-01`]);
        const sums = customerIds.map(
          (id) =>
            [id, rows.filter((row) => row.customerId === id).reduce((sum, row) => sum + Number(row.cents), 0)] as const,
        );
        const seen = valueOf(await subject.run(totals, { customerIds, year: ofYear }), 'totals');
        expect(new Map(seen), `totals for customers ${customerIds.join(', ')} and ${ofYear}`).toEqual(new Map(sums));
      }
  });

  test('latest and totals must read few rows besides those that they return or add up.', async ({ measured }) => {
    const { small } = await measured();
    for (const one of [small.latest, small.totals]) {
      expectReturned(one);
      expectAtMost(one.rows, 3 * one.useful + 40, `${one.what} in a table of ${smallCount} orders read`, 'rows');
    }
  });
});

/** An order that comes right after this one, a microsecond before it. */
const justAfter = `INSERT INTO orders (customer_id, created_at, cents, note)
SELECT ?, created_at - INTERVAL 1 MICROSECOND, cents, note FROM orders WHERE id = ?`;

describe('robust', () => {
  test('page must read few rows besides those that it returns, however late the page is.', async ({ measured }) => {
    const { small, latePages } = await measured();
    for (const one of [small.firstPage, ...latePages]) {
      expectReturned(one);
      expectAtMost(one.rows, 10 * one.useful + 100, `${one.what} in a table of ${smallCount} orders read`, 'rows');
    }
  });

  test('When the table grows tenfold, latest, page and totals must not read more rows.', async ({ measured }) => {
    const { small, large } = await measured();
    for (const name of ['latest', 'totals', 'firstPage', 'secondPage'] as const) {
      const [before, after] = [small[name], large[name]];
      expectReturned(before);
      expectReturned(after);
      const what = `${after.what} read ${before.rows} rows in a table of ${smallCount} orders; after it had grown to ${largeCount}, it read`;
      expectAtMost(after.rows, 2 * before.rows + 60, what, 'rows');
    }
  });

  test('totals must send as many statements for 500 customers as for one.', async ({ shop }) => {
    const { subject, proxy } = await shop.service();
    await shop.newTable(bursts());
    await expectMigrated(shop);
    const statementsFor = async (size: number) => {
      const customerIds = Array.from({ length: size }, (_, index) => customer + index);
      const before = proxy.statements;
      const seen = valueOf(await subject.run(totals, { customerIds, year }), `totals for ${size} customers`);
      expectThat(seen.length > 0, `totals for ${size} customers returned nothing`);
      return proxy.statements - before;
    };
    // Once before, so that a connection is open.
    await statementsFor(1);
    const [forOne, forMany] = [await statementsFor(1), await statementsFor(many)];
    expectThat(
      forMany <= forOne,
      `totals sent ${forOne} statements for one customer, and ${forMany} statements for ${many} customers`,
    );
  });

  test('page must neither skip nor repeat an order while orders are inserted and deleted.', async ({ shop }) => {
    const latecomer = customer + 50;
    for (const most of [3, limit]) {
      await shop.newTable(bursts());
      await expectMigrated(shop);
      const before = await shop.rows();
      const { admin } = shop.database;
      let day = 0;
      const pages = await followCursors(shop, most, async ({ orders, next }, number) => {
        const last = before.find(({ id }) => id === orders.at(-1)?.id);
        if (last === undefined) return;
        const newest = { customerId: customer, at: at((500 + day++) * 86_400_000_000), cents: number };
        if (number % 2 === 1) {
          await shop.insert([newest, newest, { ...newest, at: last.at }]);
          if (next !== undefined) await admin.query(justAfter, [latecomer, last.id]);
        } else await admin.query('DELETE FROM orders WHERE id IN (?)', [[last.id, orders[0]!.id]]);
      });

      const what = `${before.length} orders, in pages of ${most}; after each page, orders were inserted or deleted`;
      const late = await shop.rows('customer_id = ?', [latecomer]);
      expect(skippedAndRepeated([...before, ...late], idsOf(pages)), what).toEqual(everyOrderOnce);
    }
    await expectPageWhileDeleted(shop);
  });

  test('migrate must succeed again, at once with another one, and after one that was cut off.', async ({ shop }) => {
    const [a, b] = [await shop.service('A'), await shop.service('B')];
    const reset = () => shop.newTable(bursts().slice(0, 20));
    await reset();
    await expectMigrated(shop);
    const wanted = await columnsOfIndexes(shop);
    expectThat(wanted.length > 0, 'migrate added no index');
    await expectMigratedBesideACopy(shop, wanted);

    for await (const { first, others, step } of explore({
      first: { ...a, call: () => a.subject.run(migrate) },
      others: { ...b, call: () => columnsOfIndexes(shop) },
      admin: shop.database.admin,
      reset: async () => undefined,
      standstill: async (call) => ((await settles(call)) ? 'done' : 'not done'),
    })) {
      expect(others, `migrate ran again; after its statement ${step}, the columns of the indexes`).toEqual(wanted);
      expect(first, 'migrate, when it ran again').toEqual({ value: 'done' });
    }

    const { admin } = shop.database;
    let columns: string[] | undefined;
    for await (const { first, others, step, at: point, command, early, timeline } of explore({
      first: { ...a, call: () => a.subject.run(migrate) },
      others: { ...b, call: () => b.subject.run(migrate) },
      admin,
      reset,
      points: ['after', 'before'],
      whenAnswered: async () => 'resolved',
      standstill: async (call) => {
        const ended = await standstillOf(call, b, admin);
        columns = ended === 'done' ? await columnsOfIndexes(shop) : undefined;
        return ended;
      },
    })) {
      const what = `migrate of process A was stopped ${point} its statement ${step} while process B called it\n${timeline}\n`;
      expect(columns ?? wanted, `${what}columns of the indexes when B had resolved, and A had not`).toEqual(wanted);
      const isEarly = early !== undefined && changesTable.test(command);
      expectThat(!isEarly, `${what}A had returned before it got the answer to ${command}`);
      expect([first, others], `${what}both calls`).toEqual([{ value: 'done' }, { value: 'done' }]);
      expect(await columnsOfIndexes(shop), `${what}columns of the indexes`).toEqual(wanted);
    }

    // Both have looked, and then B goes on when A has made one index of two.
    for (const looked of [1, 2])
      for (const made of [1, 2]) {
        await reset();
        const [before, after] = [b.proxy.holdCommand(looked, 'before', changesTable), b.subject.run(migrate)];
        const command = await heldCommand(before, after, b.subject);
        const hold = a.proxy.holdCommand(made, 'after', changesTable);
        const call = a.subject.run(migrate);
        await standstillOf(call, a, admin);
        before.release();
        const ended = await standstillOf(after, b, admin);
        const seen = ended === 'done' ? await columnsOfIndexes(shop) : wanted;
        hold.release();
        const what = `migrate of process B was stopped before ${command?.sql}, and migrate of process A after its change ${made} of the table; then B went on; `;
        expect([await call, await after], `${what}both calls`).toEqual([{ value: 'done' }, { value: 'done' }]);
        expect(seen, `${what}columns of the indexes when B had resolved`).toEqual(wanted);
        expect(await columnsOfIndexes(shop), `${what}columns of the indexes in the end`).toEqual(wanted);
      }

    for (const [point, caller] of [
      ['after', b],
      ['before', b],
      ['after', a],
      ['before', a],
    ] as const)
      for (let step = 1; step <= 12; step++) {
        await reset();
        const hold = a.proxy.holdCommand(step, point);
        const call = a.subject.run(migrate);
        const command = await heldCommand(hold, call, a.subject);
        if (!command) break;
        hold.drop();
        const cutOff = await call;
        await until(() => !a.proxy.threadIds.includes(command.threadId));
        await a.subject.turns(20);
        const what = `migrate lost its connection ${point} the server ran its statement ${step}, ${command.sql}; `;
        if ('value' in cutOff)
          expect(await columnsOfIndexes(shop), `${what}it resolved; columns of the indexes`).toEqual(wanted);
        const who = caller === a ? 'the same process' : 'another process';
        expect(await caller.subject.run(migrate), `${what}then ${who} called it`).toEqual({ value: 'done' });
        expect(await columnsOfIndexes(shop), `${what}columns of the indexes after another call`).toEqual(wanted);
      }
  });
});

describe('stretch', () => {
  test('migrate must not keep others from writing, lose a write, copy the table, or change more than indexes.', async ({
    shop,
    measured,
  }) => {
    const a = await shop.service();
    await using rival = await shop.database.connect();
    let write = '';
    for await (const { step, at: point, first, standstill, timeline } of explore({
      first: { ...a, call: () => a.subject.run(migrate) },
      others: {
        ...a,
        call: async () => {
          await rival.query('UPDATE orders SET note = ? WHERE id = 1', [write]);
          await rival.query('DELETE FROM orders WHERE id = 2');
          await rival.query('INSERT INTO orders (customer_id, created_at, cents, note) VALUES (?, ?, 5, ?)', [
            customer,
            at(5),
            write,
          ]);
        },
      },
      admin: shop.database.admin,
      reset: async () => {
        await shop.newTable(bursts().slice(0, 20));
        write = `written ${Math.random()}`;
      },
      points: ['after', 'before'],
      standstill: async (call) => ((await settles(call)) ? 'done' : 'not done'),
    })) {
      const what = `migrate was stopped ${point} its statement ${step} while another session updated, deleted and inserted an order\n${timeline}\n`;
      expect(standstill, `${what}the writes were`).toBe('done');
      expect(first, `${what}migrate`).toEqual({ value: 'done' });
      const written = await shop.rows('note = ? OR id = 2', [write]);
      expect(
        written.map(({ id }) => id),
        `${what}ids of the orders that were written, after migrate`,
      ).toEqual(expect.arrayContaining([1]));
      expect(written.length, `${what}orders that were written, after migrate; one was deleted`).toBe(2);
    }

    const { rowsWritten, isRebuilt, changed, tables, indexes, sent } = await measured();
    expectThat(indexes.size > 0, 'migrate added no index');
    // What the server does in the midst of a statement cannot be stopped, but these words tell it to keep writers out.
    const locking = sent.find((sql) => /\bLOCK\s*=?\s*(SHARED|EXCLUSIVE)\b/i.test(sql));
    expectThat(locking === undefined, `migrate keeps others from writing while the server runs ${locking}`);
    expectAtMost(rowsWritten, 1_000, `migrate of ${smallCount} orders made the server write`, 'rows');
    expectThat(!isRebuilt, 'migrate made the server write the whole table anew');
    expect(changed.after, 'columns and primary key of the table after migrate').toEqual(changed.before);
    expect(tables.after, 'tables of the database after migrate').toEqual(tables.before);
  });

  test('migrate must add no index that no call uses.', async ({ measured }) => {
    const { indexes, plans } = await measured();
    expectThat(indexes.size > 0, 'migrate added no index');
    const lines = Object.values(plans).flat();
    const used = new Set(lines.flatMap(({ keys }) => keys));
    const unused = [...indexes].filter(([name]) => !used.has(name)).map(([name, columns]) => `${name} (${columns})`);
    expect(unused, `indexes that no statement of latest, page or totals uses\n${inWords(lines)}\nunused`).toEqual([]);
  });

  test('latest must be answered from its index alone.', async ({ measured }) => {
    const { plans } = await measured();
    const lines = plans.latest.filter(({ table }) => table !== undefined && !table.startsWith('<'));
    const what = `EXPLAIN of latest\n${inWords(lines)}\n`;
    expectThat(lines.length > 0, `${what}it names no table`);
    for (const { extra } of lines)
      expect(extra, `${what}Extra`).toEqual(expect.stringMatching(/Using index(?! condition)/));
  });
});

/** A call, and how many rows the server read for it. */
interface Counted {
  readonly what: string;
  readonly rows: number;
  /** Rows that it had to read, as it returned them or added them up. */
  readonly useful: number;
  /** How many orders or totals it returned, and was expected to return; or its error. */
  readonly returned: Outcome<number>;
  readonly expected: number;
}

type Calls = Readonly<Record<'latest' | 'totals' | 'firstPage' | 'secondPage', Counted>>;

/** Fills the table, migrates it, counts what calls read, lets it grow tenfold, and counts again. */
async function measure(shop: Shop) {
  const service = await shop.service();
  const { subject } = service;
  // Orders of an earlier year for the customers whom the judge asks about, and orders of others in the year itself.
  const history = async (ofCustomer: number, ofWatched: number, earlier: number) => {
    await shop.insertHistory(customer, 1, ofCustomer, earlier);
    await shop.insertHistory(watched[0]!, watched.length, ofWatched, earlier);
    await shop.insertHistory(2_000, 10, ofWatched, year);
    return ofCustomer + (watched.length + 10) * ofWatched;
  };
  await shop.newTable(ofTheYear());
  const known = await history(300, 80, year - 2);
  await shop.insertCrowd(smallCount - ofTheYear().length - known - imported, drawn.step);
  await shop.insertImport(imported);
  const [tableId, definition, names] = [await shop.tableId(), await shop.definition(), await shop.tables()];
  const migrating = async () => expect(await subject.run(migrate), 'migrate').toEqual({ value: 'done' });
  const { value: sent, count: rowsWritten } = await shop.counted('Handler_write', () =>
    shop.sentBy(service, migrating),
  );
  const isRebuilt = (await shop.tableId()) !== tableId;
  const changed = { before: definition, after: await shop.definition() };
  const tables = { before: names, after: await shop.tables() };
  const indexes = await shop.indexes();
  await shop.analyze();
  const small = await countCalls(shop, service);
  const latePages: Counted[] = [];
  for (const pages of pagesBefore) {
    const what = `a page of ${limit} after ${pages * pageSize} orders, where the last ${imported} are at one time,`;
    const before = await subject.run(pageAfterPages, { pages, limit: pageSize });
    latePages.push(await countPage(shop, service, what, before));
  }
  await shop.insertCrowd(largeCount - smallCount - (await history(3_000, 800, year - 4)), drawn.step + 1);
  await shop.analyze();
  const large = await countCalls(shop, service);

  const first = await subject.run(page, { after: undefined, limit });
  const next = 'value' in first ? first.value.next : undefined;
  const plans = {
    latest: await shop.plansOf(service, () => subject.run(latest, { customerId: customer, limit })),
    totals: await shop.plansOf(service, () => subject.run(totals, { customerIds: watched, year })),
    page: await shop.plansOf(service, () => subject.run(page, { after: undefined, limit })),
    nextPage: await shop.plansOf(service, () => subject.run(page, { after: next, limit })),
  };
  return { small, latePages, large, plans, indexes, rowsWritten, isRebuilt, changed, tables, sent };
}

async function countCalls(shop: Shop, service: Service): Promise<Calls> {
  const { subject } = service;
  const addedUp = ofTheYear().filter(({ customerId }) => watched.includes(customerId)).length;
  return {
    latest: await count(shop, `latest with limit ${limit}`, limit, limit, async () =>
      sizeOf(await subject.run(latest, { customerId: customer, limit })),
    ),
    totals: await count(
      shop,
      `totals for ${watched.length} customers, with ${addedUp} orders in the year,`,
      watched.length,
      addedUp + watched.length,
      async () => sizeOf(await subject.run(totals, { customerIds: watched, year })),
    ),
    firstPage: await countPage(shop, service, `the first page of ${limit}`),
    secondPage: await countPage(
      shop,
      service,
      `the second page of ${limit}`,
      await subject.run(page, { after: undefined, limit }),
    ),
  };
}

/** Counts a page: the one that follows `previous`, or the first one. */
async function countPage(
  shop: Shop,
  { subject }: Service,
  what: string,
  previous?: Outcome<OnePage>,
): Promise<Counted> {
  const after = previous && 'value' in previous ? previous.value.next : undefined;
  const counted = await count(shop, what, limit, limit, async () =>
    sizeOf(await subject.run(page, { after, limit }), 'orders'),
  );
  if (previous === undefined || after !== undefined) return counted;
  return { ...counted, returned: { error: 'error' in previous ? previous.error : 'the page before had no next' } };
}

async function count(
  shop: Shop,
  what: string,
  expected: number,
  useful: number,
  call: () => Promise<Outcome<number>>,
): Promise<Counted> {
  // Once before, so that connections and tables are open.
  await call();
  const { value: returned, count: rows } = await shop.counted('Handler_read', call);
  return { what, rows, useful, returned, expected };
}

/** Reads pages until there is none, in two processes by turns, with `meanwhile` after each page. The first one comes after `from`. */
async function followCursors(
  shop: Shop,
  most: number,
  meanwhile: (page: OnePage, number: number) => Promise<void> = async () => undefined,
  from?: string,
): Promise<OnePage[]> {
  const services = [await shop.service('A'), await shop.service('B')];
  const pages: OnePage[] = [];
  let after = from;
  do {
    const number = pages.length + 1;
    expectThat(number <= 150, `page ${number} of ${most} orders each came with another cursor, ${after}`);
    const { subject } = services[number % 2]!;
    const seen = valueOf(await subject.run(page, { after, limit: most }), `page ${number} of ${most} orders`);
    expectThat(seen.orders.length <= most, `page with limit ${most} returned ${seen.orders.length} orders`);
    pages.push(seen);
    await meanwhile(seen, number);
    after = seen.next;
  } while (after !== undefined);
  return pages;
}

/** The first order of a page and its last one are deleted while the page is being read. All others must be returned in the end. */
async function expectPageWhileDeleted(shop: Shop): Promise<void> {
  const { admin } = shop.database;
  const service = await shop.service();
  await shop.newTable(bursts());
  await expectMigrated(shop);
  const firstPage = valueOf(await service.subject.run(page, { after: undefined, limit }), 'page');
  const oldest = { customerId: customer, at: at(-1), cents: 1 };
  const ends = [0, limit - 1];
  const whole = Array.from({ length: limit }, (_, index) => index);
  for (const [which, deleted] of [
    ['the first and the last', ends],
    ['all', whole],
  ] as const)
    for (const before of [{ orders: [], next: undefined }, firstPage]) {
      const passed = idsOf([before]);
      let left: Row[] = [];
      for await (const { first, step, at: point, timeline } of explore({
        first: { ...service, call: () => service.subject.run(page, { after: before.next, limit }) },
        others: {
          ...service,
          call: () => admin.query('DELETE FROM orders WHERE id IN (?)', [deleted.map((index) => left[index]!.id)]),
        },
        admin,
        reset: async () => {
          // As many as the last step has deleted.
          await shop.insert(deleted.map(() => oldest));
          left = (await shop.rows()).filter(({ id }) => !passed.includes(id));
        },
        points: ['after', 'before'],
        standstill: async (call) => ((await settles(call)) ? 'done' : 'not done'),
      })) {
        const what = `page was stopped ${point} its statement ${step} while ${which} of its ${limit} orders were deleted\n${timeline}\n`;
        const one = valueOf(first, `${what}page`);
        const others = one.next === undefined ? [] : await followCursors(shop, limit, undefined, one.next);
        const kept = left.filter((_, index) => !deleted.includes(index));
        const seen = skippedAndRepeated(kept, idsOf([one, ...others]));
        expect(seen, `${what}${kept.length} others followed; in this page and the next ones`).toEqual(everyOrderOnce);
      }
    }
}

const everyOrderOnce = { 'ids that were skipped': [], 'ids that were repeated': [] };

function skippedAndRepeated(
  rows: readonly Row[],
  seen: readonly number[],
): Record<keyof typeof everyOrderOnce, number[]> {
  const different = new Set(seen);
  return {
    'ids that were skipped': rows.filter(({ id }) => !different.has(id)).map(({ id }) => id),
    'ids that were repeated': seen.filter((id) => !different.delete(id)),
  };
}

function idsOf(pages: readonly OnePage[]): number[] {
  return pages.flatMap(({ orders }) => orders.map(({ id }) => id));
}

async function expectMigrated(shop: Shop): Promise<void> {
  const { subject } = await shop.service();
  expect(await subject.run(migrate), 'migrate').toEqual({ value: 'done' });
}

/** The account sees two other tables with all indexes: one in another database, and one by another name. */
async function expectMigratedBesideACopy(shop: Shop, wanted: readonly string[]): Promise<void> {
  await using other = await shop.copy();
  await shop.newTable([]);
  await shop.database.admin.query(`CREATE TABLE orders_of_the_past LIKE ${other.name}.orders`);
  await expectMigrated(shop);
  const what =
    'migrate of a new table orders, where another database that the account sees has a migrated table orders, and this database has a copy of that, orders_of_the_past';
  expect(await columnsOfIndexes(shop), `${what}; columns of the indexes of the new table`).toEqual(wanted);
}

async function columnsOfIndexes(shop: Shop): Promise<string[]> {
  return [...(await shop.indexes()).values()].toSorted();
}

function expectReturned({ what, returned, expected }: Counted): void {
  expect(returned, `${what} returned`).toEqual({ value: expected });
}

function valueOf<Value>(outcome: Outcome<Value>, what: string): Value {
  if ('error' in outcome) expectThat(false, `${what} failed: ${outcome.error}`);
  return (outcome as { value: Value }).value;
}

function sizeOf(outcome: Outcome<readonly unknown[]>): Outcome<number>;
function sizeOf(outcome: Outcome<OnePage>, of: 'orders'): Outcome<number>;
function sizeOf(outcome: Outcome<readonly unknown[] | OnePage>): Outcome<number> {
  if ('error' in outcome) return outcome;
  return { value: 'orders' in outcome.value ? outcome.value.orders.length : outcome.value.length };
}

function toSummary({ id, at: time, cents }: Row) {
  return { id, createdAt: `${time.replace(' ', 'T').slice(0, 23)}Z`, cents };
}

function inWords(lines: readonly PlanLine[]): string {
  return lines
    .map(({ sql, table, keys, extra }) => `${table ?? '–'}: key ${keys.join() || 'none'}; ${extra || '–'}; ${sql}`)
    .map((line) => (line.length > 300 ? `${line.slice(0, 300)} …` : line))
    .join('\n');
}
