import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { once } from '../../helpers/foundations/waiting/once.ts';
import { settles, until } from '../../helpers/foundations/waiting/until.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { inStep } from '../../helpers/instruments/mysql/in-step.ts';
import { standstillPastShortWaits } from '../../helpers/instruments/mysql/schedule-explorer.ts';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/bank-transfer/bank-transfer.ts';
import { differenceIn, disagreementIn } from './accounts.ts';
import { deathsOf } from './deaths.ts';
import { closeBank, readBalances, transferAtOnce } from './inside.ts';
import { type Call, type Race, type Start, crowd, races } from './races.ts';
import { Services, balances, transfer } from './service.ts';

/** What else runs while a transfer from account 0 to account 1 is stopped; accounts by their numbers. */
const others = [
  { name: 'two transfers from one account', to: [[0, 2]] },
  { name: 'two transfers into one account', to: [[2, 1]] },
  { name: 'a transfer, and one from the account that receives', to: [[1, 2]] },
  { name: 'a transfer, and one into the account that pays', to: [[2, 0]] },
  { name: 'two opposite transfers', to: [[1, 0]] },
  { name: 'two transfers between the same accounts', to: [[0, 1]] },
  {
    name: 'three transfers in a ring',
    to: [
      [1, 2],
      [2, 0],
    ],
  },
] as const;
/** Not twice the amount is there, so that who looks at a balance first is wrong, too. */
const twice = {
  name: 'the same transfer twice, of all but 1 cent',
  of: (scene) => {
    const one = scene.transfer(0, 1, { amount: scene.accounts[0].opening - 1 });
    return [one, one];
  },
} as const satisfies Start;
const oneKeyForTwo = {
  name: 'two transfers between different accounts, with one key',
  of: (scene) => [scene.transfer(0, 1), scene.transfer(2, 3)],
} as const satisfies Start;
/** Two wait for the first, which is refused. Then both may have a lock that keeps the other from going on. */
const tooMuch = {
  name: 'three transfers with one key and too little money',
  of: (scene) => {
    const one = scene.transfer(0, 1, { amount: scene.accounts[0].opening + 1 });
    return [one, one, one];
  },
  processes: ['B'],
} as const satisfies Start;
const keyInUse = { moved: false, reason: 'key in use' };
/** More than any account has. */
const moreThanAll = 1e15;
const tooLittle = { moved: false, reason: 'insufficient funds' };
const unknown = { moved: false, reason: 'unknown account' };
const anError = { error: expect.any(String) };

const test = judge<typeof Kata>('bank-transfer', { spares: 1 })
  .extend('servicesOfFile', { scope: 'file' }, async ({ database, subjects }, { onCleanup }) => {
    const services = await Services.start(database, subjects);
    onCleanup(() => services[Symbol.asyncDispose]());
    return services;
  })
  .extend('atOnce', { scope: 'file' }, ({ servicesOfFile }) => once(() => transfersAtOnce(servicesOfFile)))
  .extend('sameTransfer', { scope: 'file' }, ({ servicesOfFile }) => once(() => allOf(races(servicesOfFile, twice))))
  .extend('sameKey', { scope: 'file' }, ({ servicesOfFile }) => once(() => allOf(races(servicesOfFile, oneKeyForTwo))))
  .extend('refusals', { scope: 'file' }, ({ servicesOfFile }) => once(() => allOf(races(servicesOfFile, tooMuch))))
  .extend('deaths', { scope: 'file' }, ({ servicesOfFile }) => once(() => deathsOf(servicesOfFile)))
  // After a promise that fails, the next test gets new processes.
  .extend('services', async ({ servicesOfFile, task }, { onCleanup }) => {
    onCleanup(async () => {
      if (task.result?.state === 'fail') await servicesOfFile.end();
    });
    return servicesOfFile;
  });

describe('core', () => {
  test('A transfer must move the amount once, write one row of the ledger, and answer with what is left.', async ({
    services,
  }) => {
    const [a, b] = [await services.running('A'), await services.running('B')];
    const scene = services.scene();
    const done: Kata.Transfer[] = [];
    expect(await balances(a, scene.ids), 'what balance() answers before any transfer').toEqual(scene.balancesAfter([]));
    for (const [number, { from, hop, share }] of drawOne(histories).entries()) {
      const left = scene.balancesAfter(done).get(scene.ids[from]!)!;
      const amount = Math.max(1, Math.floor(left * share));
      const one = scene.transfer(from, (from + hop) % 4, { amount, key: number });
      const outcome = await transfer(number % 2 === 0 ? a : b, one);
      const what = `transfer ${number + 1}, of ${amount} from an account with ${left}; its`;
      expect(outcome, `${what} outcome`).toEqual({ moved: true, balance: left - amount });
      done.push(one);
      const rows = (await services.settledBooks(scene)).rows.filter(({ key }) => key === one.key);
      expect(rows, `${what} rows of the ledger`).toEqual([{ ...one, after: left - amount }]);
    }
    const what = `after ${done.length} transfers, one after the other`;
    const expected = scene.balancesAfter(done);
    expectNone(differenceIn(scene, await services.settledBooks(scene), expected), `${what}\n`);
    for (const [name, process] of Object.entries({ A: a, B: b }))
      expect(await balances(process, scene.ids), `${what}: what balance() answers in process ${name}`).toEqual(
        expected,
      );

    // Both have asked for balances now; what they read then must not be what they answer later.
    for (const [mover, process] of Object.entries({ B: b, A: a })) {
      const one = scene.transfer(0, 1, { key: done.length });
      await transfer(process, one);
      done.push(one);
      for (const [name, asked] of Object.entries({ A: a, B: b }))
        expect(
          await balances(asked, scene.ids),
          `both processes asked for balances, then process ${mover} moved ${one.amount}; what balance() answers in process ${name} after that`,
        ).toEqual(scene.balancesAfter(done));
    }
  });

  test('Transfers at once, in one or two processes, must neither make nor lose money.', async ({
    services,
    atOnce,
  }) => {
    for (const race of await atOnce()) expectMoneyKept(race);

    const scene = services.scene();
    const many = Array.from({ length: 12 }, (_, key) => scene.transfer(key % 4, (key + 1 + (key % 3)) % 4, { key }));
    expectMoneyKept(await crowd(services, scene, many));
  });

  test('No account must be overdrawn, however many transfers take from it at once.', async ({ services }) => {
    const name = 'two transfers that together take a cent more than their account has';
    for await (const race of races(services, {
      name,
      standstill: standstillPastShortWaits,
      of: (scene) => {
        const { opening } = scene.accounts[0];
        const half = Math.ceil(opening / 2);
        return [scene.transfer(0, 1, { amount: half }), scene.transfer(0, 2, { amount: opening - half + 1, key: 2 })];
      },
    }))
      expectNotOverdrawn(race, 1);

    const scene = services.scene();
    const amount = Math.floor(scene.accounts[0].opening / 3);
    const many = Array.from({ length: 12 }, (_, key) => scene.transfer(0, 1 + (key % 3), { amount, key }));
    expectNotOverdrawn(await crowd(services, scene, many), 3);
  });

  test('A refused transfer must say why and change nothing.', async ({ services }) => {
    const a = await services.running('A');
    const scene = services.scene();
    const { amount } = scene;
    const { id: payer, opening } = scene.accounts[0];
    const good = scene.transfer(0, 1);
    const stranger = `${payer}x`;
    const cases: [Kata.Reason, Partial<Kata.Transfer>][] = [
      ['invalid amount', { amount: 0 }],
      ['invalid amount', { amount: -amount }],
      ['invalid amount', { amount: amount + 0.5 }],
      ['invalid amount', { amount: NaN }],
      ['invalid amount', { amount: Infinity }],
      ['same account', { to: payer }],
      ['unknown account', { to: stranger }],
      ['unknown account', { from: stranger }],
      ['insufficient funds', { amount: opening + 1 }],
      ['insufficient funds', { amount: opening * 2 }],
    ];
    for (const [reason, part] of cases) {
      const outcome = await transfer(a, { ...good, ...part });
      const books = await services.settledBooks(scene);
      const what = `a transfer of ${amount} from ${payer}, which has ${opening}, to ${good.to}, with another ${Object.entries(part).join().replace(',', ' ')}`;
      expect(outcome, what).toEqual({ moved: false, reason });
      expectNone(differenceIn(scene, books, scene.balancesAfter([])), `${what}, was refused\n`);
      expect(books.rows, `${what}, was refused; rows of the ledger`).toEqual([]);
    }

    const all = { ...good, amount: opening };
    const what = `a transfer of all that the account has, with the key of ${cases.length} refused ones`;
    expect(await transfer(a, all), what).toEqual({ moved: true, balance: 0 });
    const cent = scene.transfer(0, 2, { amount: 1, key: 2 });
    expect(await transfer(a, cent), 'one of a cent, from an account with 0').toEqual(tooLittle);
    expectNone(differenceIn(scene, await services.settledBooks(scene), scene.balancesAfter([all])), 'after both\n');

    const [from, to] = [
      { ...scene.transfer(0, 1, { key: 3 }), from: stranger },
      { ...scene.transfer(2, 1, { key: 4 }), to: stranger },
    ];
    for (const one of [from, to])
      expect(await transfer(a, one), `a transfer from ${one.from} to ${one.to}, before ${stranger} was opened`).toEqual(
        unknown,
      );
    const opens = services.database.admin.query('INSERT INTO accounts VALUES (?, ?)', [stranger, opening]);
    opens.catch(() => undefined);
    expectThat(
      await settles(opens),
      `account ${stranger} could not be opened: refused transfers with it had left a lock`,
    );
    await opens;
    const then = `account ${stranger} was opened, after transfers with it had been refused; the same transfer again,`;
    expect(await transfer(a, from), `${then} from it`).toMatchObject({ moved: true });
    expect(await transfer(a, to), `${then} to it`).toMatchObject({ moved: true });
  });
});

describe('robust', () => {
  test('Transfers at once must all be answered with what each one left; no deadlock must reach a caller.', async ({
    services,
    atOnce,
    refusals,
  }) => {
    for (const { what, scene, calls } of await atOnce()) {
      for (const { outcome } of calls) expect(outcome, `${what}outcome of a transfer`).toMatchObject({ moved: true });
      const { id, opening } = scene.accounts[0];
      if (calls.some((call) => call.transfer.to === id)) continue;
      const left = calls.flatMap(({ outcome, transfer: { from } }) =>
        from === id && 'balance' in outcome ? outcome.balance : [],
      );
      expect(
        left.toSorted((one, other) => other - one),
        `${what}what the transfers from an account with ${opening} left, by their answers`,
      ).toEqual(left.map((_, index) => opening - (index + 1) * scene.amount));
    }

    for (const { what, calls } of await refusals())
      expect(outcomesOf(calls), `${what}their outcomes`).toEqual([tooLittle, tooLittle, tooLittle]);

    // Each one that is refused may leave the others in a deadlock, so that the last one meets four in a row.
    await using process = await services.openBanks(6);
    const scene = services.scene();
    const one = tooMuch.of(scene)[0];
    const { outcomes, timeline } = await inStep({
      admin: services.database.admin,
      calls: process.banks.map(({ proxy, transfer: transferHere }) => ({ proxy, call: () => transferHere(one) })),
    });
    const what = 'six transfers with one key and too little money went on a statement each in turn';
    expect(outcomes, `${what}\n${timeline}\ntheir outcomes`).toEqual(outcomes.map(() => tooLittle));
  });

  test('The same key again, at once or later, in any process, must get the same answer and move nothing.', async ({
    services,
    sameTransfer,
  }) => {
    const [a, b] = [await services.running('A'), await services.running('B')];
    for (const { what, scene, calls, books } of await sameTransfer()) {
      const [one] = twice.of(scene);
      const answer = scene.firstAnswer(one);
      expect(outcomesOf(calls), `${what}both answers`).toEqual([answer, answer]);
      expectNone(differenceIn(scene, books, scene.balancesAfter([one])), what);
    }

    const scene = services.scene();
    const one = scene.transfer(0, 1);
    const rest = scene.transfer(0, 2, { amount: scene.accounts[0].opening - one.amount, key: 2 });
    const answer = scene.firstAnswer(one);
    expect(await transfer(a, one), 'a transfer').toEqual(answer);
    expect(await transfer(b, rest), 'a transfer of all that was left then').toEqual({ moved: true, balance: 0 });
    for (const [name, process] of Object.entries({ A: a, B: b })) {
      expect(await transfer(process, one), `the first one again, in process ${name}`).toEqual(answer);
      expect(await transfer(process, rest), `the one that left 0 again, in process ${name}`).toEqual({
        moved: true,
        balance: 0,
      });
    }
    const eight = await crowd(
      services,
      scene,
      Array.from({ length: 8 }, () => one),
    );
    expect(outcomesOf(eight.calls), 'and again, 4 times at once in both').toEqual(eight.calls.map(() => answer));
    expectNone(differenceIn(scene, eight.books, scene.balancesAfter([one, rest])), 'after all that\n');
  });

  test('A key with other data must be refused, also while its first transfer is running.', async ({
    services,
    sameKey,
  }) => {
    const [a, b] = [await services.running('A'), await services.running('B')];
    const scene = services.scene();
    const one = scene.transfer(0, 1);
    expect(await transfer(a, one), 'a transfer').toEqual(scene.firstAnswer(one));
    for (const [name, process] of Object.entries({ A: a, B: b }))
      for (const [what, part] of Object.entries({
        'with another amount': { amount: one.amount + 1 },
        'to another account': { to: scene.ids[2]! },
        'from another account': { from: scene.ids[3]! },
        'in the other direction': { from: one.to, to: one.from },
      }))
        expect(await transfer(process, { ...one, ...part }), `its key again, ${what}, in process ${name}`).toEqual(
          keyInUse,
        );
    expect(await transfer(b, one), 'and the first one again').toEqual(scene.firstAnswer(one));
    const { alike } = services;
    await transfer(a, alike.transfer(0, 1));
    const other = alike.transfer(2, 3);
    const joined = `${other.from}-${other.to}`;
    expect(await transfer(a, other), `a key again, for two other accounts whose ids are joined ${joined} too`).toEqual(
      keyInUse,
    );
    expectNone(differenceIn(scene, await services.settledBooks(scene), scene.balancesAfter([one])), 'after all that\n');

    for (const race of await sameKey()) {
      const refused = race.calls.filter((call) => !hasMoved(call));
      expect(outcomesOf(refused), `${race.what}answers without a move`).toEqual([keyInUse]);
      expectMoneyKept(race);
    }
  });

  test('At every instant, a reader must find whole transfers only, also after a connection or process has died.', async ({
    deaths,
  }) => {
    for (const { what, scene, meanwhile, afterwards, atEnd } of await deaths()) {
      expectNone(disagreementIn(scene, meanwhile), `${what}while that statement was held, `);
      expectNone(disagreementIn(scene, afterwards), `${what}after that, `);
      expectNone(disagreementIn(scene, atEnd), `${what}after two more calls with the key, `);
      expectThat(atEnd.rows.length > 0, `${what}the ledger had no row, although the transfer was tried again twice`);
    }
  });

  test('close() must leave no connection open.', async ({ services }) => {
    await using a = await services.open('A');
    const scene = services.scene();

    await a.subject.run(readBalances, { accounts: scene.ids, areAtOnce: true });
    const four = [0, 1, 2, 3].map((key) => scene.transfer(key, (key + 1) % 4, { key }));
    const outcomes = await a.subject.run(transferAtOnce, four);
    const hasWorked = outcomes.some((outcome) => 'moved' in outcome && outcome.moved);
    expectThat(hasWorked, `none of four transfers at once moved money: ${JSON.stringify(outcomes)}`);
    const opened = a.proxy.threadIds.length;
    await a.subject.run(closeBank);
    await until(() => a.proxy.threadIds.length === 0);

    expect(a.proxy.threadIds.length, `of ${opened} connections still open after close()`).toBe(0);
  });
});

describe('stretch', () => {
  test('When a connection or process dies, the same key tried again must move the money once in all.', async ({
    deaths,
  }) => {
    for (const { what, scene, one, dying, rival, afterwards, again, between, atEnd } of await deaths()) {
      const answer = scene.firstAnswer(one);
      for (const [who, outcome] of Object.entries({ 'the transfer': dying, 'a second call at the same time': rival })) {
        if (!outcome || 'error' in outcome) continue;
        expect(outcome, `${what}answer of ${who}`).toEqual(answer);
        expect(afterwards.rows.length, `${what}rows of the ledger after ${who} was answered as moved`).toBe(1);
      }
      if (!('error' in again[0]!) && again[0]!.moved)
        expect(
          between.rows.length,
          `${what}the same key tried again in process A was answered as moved; rows of the ledger then`,
        ).toBe(1);
      expect(again, `${what}the same key tried again, in two processes`).toEqual([answer, answer]);
      expectNone(differenceIn(scene, atEnd, scene.balancesAfter([one])), `${what}in the end, `);
    }
  });

  test('A transfer must not wait for a transfer with another key between other accounts.', async ({ services }) => {
    const settled = async (call: Promise<unknown>) => ((await settles(call)) ? 'done' : 'not done');
    const starts: Start[] = [
      {
        name: 'two transfers between different accounts',
        of: (scene) => [scene.transfer(0, 1), scene.transfer(2, 3, { key: 2 })],
        standstill: settled,
      },
      {
        name: 'a transfer of too much, and one between other accounts',
        of: (scene) => [{ ...scene.transfer(0, 1), amount: moreThanAll }, scene.transfer(2, 3, { key: 2 })],
        processes: ['B'],
        standstill: settled,
      },
    ];
    for (const start of starts)
      for await (const { what, calls, standstill } of races(services, start)) {
        expect(standstill, `${what}meanwhile the second one was`).toBe('done');
        expect(calls[1]!.outcome, `${what}outcome of the second one`).toMatchObject({ moved: true });
      }
  });

  test('A transfer that fails, is refused or is repeated must leave no lock and no connection behind.', async ({
    services,
    atOnce,
    sameTransfer,
    sameKey,
    refusals,
  }) => {
    await using a = await services.open('A');
    const b = await services.running('B');
    const { refusing } = services;
    const [scene, used] = [services.scene(), services.scene()];
    const one = scene.transfer(0, 1);
    const known = used.transfer(0, 1);
    await transfer(b, known);
    // What the others are answered is promised elsewhere.
    const cases: [what: string, bad: Kata.Transfer, outcome?: unknown][] = [
      ['whose account could not be debited', refusing.transfer(0, 1), anError],
      ['whose account could not be credited', refusing.transfer(1, 2), anError],
      ['whose row of the ledger was refused', refusing.transfer(3, 1), anError],
      ['of too much', { ...one, amount: moreThanAll }, tooLittle],
      ['to nobody', { ...one, to: 'nobody' }, unknown],
      ['from nobody', { ...one, from: 'nobody' }],
      ['of nothing', { ...one, amount: 0 }],
      ['to the account that pays', { ...one, to: one.from }],
      ['with a key in use', { ...known, amount: known.amount + 1 }],
      ['that had moved before', known],
    ];
    for (const [index, [what, bad, outcome]] of cases.entries()) {
      const outcomes = [];
      for (let call = 1; call <= 4; call++) outcomes.push(await transfer(a, bad));
      if (outcome)
        expect(outcomes, `4 transfers ${what}, with a pool of 3 connections`).toEqual(outcomes.map(() => outcome));
      const again = transfer(b, bad);
      again.catch(() => undefined);
      expectThat(
        await settles(again),
        `after 4 transfers ${what} in process A, the same one in process B was not answered`,
      );
      const locked = await services.lockedBy([bad]);
      expect(locked, `after 4 transfers ${what}, rows that were still locked`).toEqual([]);
      const next = transfer(b, { ...bad, key: scene.key(index + 2) });
      next.catch(() => undefined);
      const then = `after 4 transfers ${what} in process A, one with the same accounts in process B`;
      expectThat(await settles(next), `${then} was not answered`);
      if (outcome !== anError) expect(await next, then).not.toEqual(anError);
    }
    for (const seen of [atOnce, sameTransfer, sameKey, refusals])
      // A race that came to no end is another promise's business.
      for (const { what, locked } of await seen().catch(() => []))
        expect(locked, `${what}rows that were still locked afterwards`).toEqual([]);
  });
});

/** Transfers between four accounts, with shares of what the payer has; the last two take all. */
const histories = fc
  .array(
    fc.record({
      from: fc.integer({ min: 0, max: 3 }),
      hop: fc.integer({ min: 1, max: 3 }),
      share: fc.constantFrom(0.0001, 0.1, 0.33, 0.5),
    }),
    { minLength: 14, maxLength: 14 },
  )
  .map((steps) => [...steps, { from: 1, hop: 2, share: 1 }, { from: 3, hop: 1, share: 1 }]);

/** Transfers that touch the same accounts, in all ways. */
async function transfersAtOnce(services: Services): Promise<Race[]> {
  const seen: Race[] = [];
  for (const { name, to: rest } of others) {
    const processes = name === 'two opposite transfers' ? (['B', 'A'] as const) : (['B'] as const);
    for await (const race of races(services, {
      name,
      of: (scene) => [
        scene.transfer(0, 1),
        ...rest.map(([from, to], index) => scene.transfer(from, to, { key: index + 2 })),
      ],
      processes,
    }))
      seen.push(race);
  }
  return seen;
}

async function allOf<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

function outcomesOf(calls: readonly Call[]) {
  return calls.map(({ outcome }) => outcome);
}

/** Whether the call said that the money has moved. */
function hasMoved({ outcome }: Call): boolean {
  return 'moved' in outcome && outcome.moved;
}

/** Balances must be what the answers say. A call that failed may have moved money only if the ledger says so. */
function expectMoneyKept({ what, scene, calls, books }: Race): void {
  const failures = calls.flatMap(({ outcome }) => ('error' in outcome ? [outcome.error] : []));
  const failed = failures.length === 0 ? '' : `; ${failures.length} failed: ${failures[0]}`;
  expectThat(calls.some(hasMoved), `${what}no transfer moved money${failed}`);
  const moved = calls
    .filter(
      (call) => hasMoved(call) || ('error' in call.outcome && books.rows.some(({ key }) => key === call.transfer.key)),
    )
    .map((call) => call.transfer);
  const difference = differenceIn(scene, books, scene.balancesAfter(moved));
  expectNone(difference && `${difference} after ${moved.length} transfers${failed}`, what);
}

/** At most so many transfers from the first account may move money. */
function expectNotOverdrawn(race: Race, most: number): void {
  const { what, scene, calls, books } = race;
  const { id, opening } = scene.accounts[0];
  const moved = calls.filter(hasMoved).length;
  const account = `the account, opened with ${opening},`;
  expectThat(moved <= most, `${what}${moved} of ${calls.length} transfers moved; ${account} has money for ${most}`);
  expectThat(books.balances.get(id)! >= 0, `${what}${account} has ${books.balances.get(id)}`);
  expectMoneyKept(race);
  for (const { outcome } of calls) if ('reason' in outcome) expect(outcome, `${what}a refusal`).toEqual(tooLittle);
}

/** Fails with `what` and the fault, when there is one. */
function expectNone(fault: string | undefined, what: string): void {
  expectThat(fault === undefined, `${what}${fault}`);
}
