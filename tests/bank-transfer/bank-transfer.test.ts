import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { once } from '../../helpers/foundations/waiting/once.ts';
import { settles, until } from '../../helpers/foundations/waiting/until.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { type Exploration, explore } from '../../helpers/instruments/mysql/schedule-explorer.ts';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/bank-transfer/bank-transfer.ts';
import { type Books, type Scene, differenceIn, disagreementIn } from './accounts.ts';
import { deathsOf } from './deaths.ts';
import { type Outcome, closeBank, transferAtOnce } from './inside.ts';
import { type Service, Services, balances, transfer } from './service.ts';

/** More statements than a transfer needs, also one that is tried again. */
const maxSteps = 20;
/** What a second transfer does while one from account 0 to account 1 is stopped; accounts by their numbers. */
const others = [
  { does: 'one takes from the same account', from: 0, to: 2 },
  { does: 'one pays into the same account', from: 2, to: 1 },
  { does: 'one takes from the account that receives', from: 1, to: 2 },
  { does: 'one pays into the account that pays', from: 2, to: 0 },
  { does: 'the opposite one runs', from: 1, to: 0 },
  { does: 'one between the same accounts runs', from: 0, to: 1 },
];

const test = judge<typeof Kata>('bank-transfer', { spares: 1 })
  .extend('servicesOfFile', { scope: 'file' }, async ({ database, subjects }, { onCleanup }) => {
    const services = await Services.start(database, subjects);
    onCleanup(() => services.end());
    return services;
  })
  .extend('atOnce', { scope: 'file' }, ({ servicesOfFile }) => once(() => transfersAtOnce(servicesOfFile)))
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
    for (const [number, { from, hop, share }] of drawOne(histories).entries()) {
      const left = scene.balancesAfter(done).get(scene.ids[from]!)!;
      const amount = Math.max(1, Math.floor(left * share));
      const one = scene.transfer(from, (from + hop) % 4, { amount, key: number });
      const outcome = await transfer(number % 2 === 0 ? a : b, one);
      const what = `transfer ${number + 1}, of ${amount} from an account with ${left}; its`;
      expect(outcome, `${what} outcome`).toEqual({ moved: true, balance: left - amount });
      done.push(one);
      const { rows } = await services.books(scene);
      expect(
        rows.filter(({ key }) => key === one.key),
        `${what} rows of the ledger`,
      ).toEqual([{ ...one, after: left - amount }]);
    }
    const what = `after ${done.length} transfers, one after the other`;
    const expected = scene.balancesAfter(done);
    expectNone(differenceIn(scene, await services.books(scene), expected), `${what}\n`);
    expect(await balances(a, scene.ids), `${what}: what balance() answers`).toEqual(expected);
  });

  test('Transfers at once, in one or two processes, must neither make nor lose money.', async ({
    services,
    atOnce,
  }) => {
    for (const { what, scene, calls, books } of await atOnce()) expectMoneyKept(scene, calls, books, what);

    const processes = [await services.running('A'), await services.running('B')];
    const scene = services.scene();
    const ring = Array.from({ length: 12 }, (_, key) => scene.transfer(key % 4, (key + 1 + (key % 3)) % 4, { key }));
    const halves = [ring.slice(0, 6), ring.slice(6)];
    const outcomes = await Promise.all(
      processes.map(({ subject }, half) => subject.run(transferAtOnce, halves[half]!)),
    );
    const calls = outcomes.flat().map((outcome, index) => ({ transfer: ring[index]!, outcome }));
    expectMoneyKept(scene, calls, await services.books(scene), '6 transfers in each of two processes, all at once\n');
  });

  test('No account must be overdrawn, however many transfers take from it at once.', async ({ services }) => {
    const [a, b] = [await services.running('A'), await services.running('B')];

    for (const other of [b, a]) {
      let scene: Scene;
      let pair: [Kata.Transfer, Kata.Transfer];
      const reset = () => {
        scene = services.scene();
        const { opening } = scene.accounts[0];
        const first = Math.ceil(opening / 2);
        // Together they take one cent more than there is.
        pair = [
          scene.transfer(0, 1, { amount: first, key: 1 }),
          scene.transfer(0, 2, { amount: opening - first + 1, key: 2 }),
        ];
      };
      for await (const schedule of sweep(services, a, other, reset, (who) => pair[who])) {
        const calls = callsOf(schedule, pair!);
        const what = `two transfers take a cent more than the account has; ${whereOf(schedule, a, other)}`;
        expectNoneOverdrawn(scene!, calls, await services.books(scene!), 1, what);
      }
    }

    const scene = services.scene();
    const amount = Math.floor(scene.accounts[0].opening / 3);
    const six = (offset: number) =>
      Array.from({ length: 6 }, (_, n) => scene.transfer(0, 1 + (n % 3), { amount, key: n + offset }));
    const outcomes = await Promise.all([a.subject.run(transferAtOnce, six(0)), b.subject.run(transferAtOnce, six(6))]);
    const all = [...six(0), ...six(6)];
    const calls = outcomes.flat().map((outcome, index) => ({ transfer: all[index]!, outcome }));
    const what = '6 transfers in each of two processes, all at once, each take a third of what the account has\n';
    expectNoneOverdrawn(scene, calls, await services.books(scene), 3, what);
  });

  test('A refused transfer must say why and change nothing.', async ({ services }) => {
    const a = await services.running('A');
    const scene = services.scene();
    const [payer] = scene.accounts;
    const { amount } = scene;
    const good = scene.transfer(0, 1);
    const stranger = `${payer.id}x`;
    const cases: [Kata.Reason, Kata.Transfer][] = [
      ...[0, -amount, amount + 0.5, NaN, Infinity].map((bad): [Kata.Reason, Kata.Transfer] => [
        'invalid amount',
        { ...good, amount: bad },
      ]),
      ['same account', { ...good, to: payer.id }],
      ['unknown account', { ...good, to: stranger }],
      ['unknown account', { ...good, from: stranger }],
      ['insufficient funds', { ...good, amount: payer.opening + 1 }],
      ['insufficient funds', { ...good, amount: payer.opening * 2 }],
    ];
    for (const [reason, one] of cases) {
      const outcome = await transfer(a, one);
      const books = await services.books(scene);
      const what = `a transfer of ${one.amount}, from an account with ${payer.opening}, ${one.to === one.from ? 'to itself' : `from ${one.from} to ${one.to}`}`;
      expect(outcome, what).toEqual({ moved: false, reason });
      expectNone(differenceIn(scene, books, scene.balancesAfter([])), `${what}, was refused\n`);
      expect(books.rows, `${what}, was refused; rows of the ledger`).toEqual([]);
    }

    // All of them had the same key, which is still free.
    const all = { ...good, amount: payer.opening };
    expect(
      await transfer(a, all),
      `a transfer of all that the account has, with the key of ${cases.length} refused ones`,
    ).toEqual({
      moved: true,
      balance: 0,
    });
    expect(
      await transfer(a, scene.transfer(0, 2, { amount: 1, key: 2 })),
      'one of a cent, from an account with 0',
    ).toEqual({
      moved: false,
      reason: 'insufficient funds',
    });
    expectNone(differenceIn(scene, await services.books(scene), scene.balancesAfter([all])), 'after both\n');
  });
});

describe('robust', () => {
  test('Transfers at once must all be answered: no deadlock must reach the caller.', async ({ services, atOnce }) => {
    for (const { what, calls } of await atOnce())
      for (const { outcome } of calls) expect(outcome, `${what}outcome of a transfer`).toMatchObject({ moved: true });

    const [a, b] = [await services.running('A'), await services.running('B')];
    for (const { does, rest, first } of [
      {
        does: 'three transfers in a ring',
        first: [0, 1],
        rest: [
          [1, 2],
          [2, 0],
        ],
      },
      {
        does: 'three transfers in a ring, the other way round',
        first: [1, 0],
        rest: [
          [0, 2],
          [2, 1],
        ],
      },
    ] as const) {
      let scene: Scene;
      const schedules = explore({
        ...common(services),
        first: { ...a, call: () => transfer(a, scene.transfer(...first)) },
        others: {
          ...b,
          call: () =>
            b.subject.run(
              transferAtOnce,
              rest.map(([from, to], index) => scene.transfer(from, to, { key: index + 2 })),
            ),
        },
        reset: async () => void (scene = services.scene()),
      });
      for await (const schedule of schedules)
        for (const outcome of [schedule.first, ...schedule.others])
          expect(outcome, `${does}; ${whereOf(schedule, a, b)}outcome of a transfer`).toMatchObject({ moved: true });
    }

    // Two wait for the first, which is refused. Then both may have a lock that keeps the other from going on.
    let refused: Kata.Transfer;
    const schedules = explore({
      ...common(services),
      first: { ...a, call: () => transfer(a, refused) },
      others: { ...b, call: () => b.subject.run(transferAtOnce, [refused, refused]) },
      reset: async () => {
        const scene = services.scene();
        refused = scene.transfer(0, 1, { amount: scene.accounts[0].opening + 1 });
      },
    });
    for await (const schedule of schedules)
      expect(
        [schedule.first, ...schedule.others],
        `three transfers with one key and too little money; ${whereOf(schedule, a, b)}their outcomes`,
      ).toEqual(Array.from({ length: 3 }, () => ({ moved: false, reason: 'insufficient funds' })));
  });

  test('The same key again, at once or later, in any process, must get the same answer and move nothing.', async ({
    services,
  }) => {
    const [a, b] = [await services.running('A'), await services.running('B')];

    for (const other of [b, a]) {
      let scene: Scene;
      let one: Kata.Transfer;
      const reset = () => void (one = (scene = services.scene()).transfer(0, 1));
      for await (const schedule of sweep(services, a, other, reset, () => one)) {
        const books = await services.books(scene!);
        const what = `the same transfer twice; ${whereOf(schedule, a, other)}`;
        const answer = scene!.firstAnswer(one!);
        expect([schedule.first, schedule.others], `${what}both answers`).toEqual([answer, answer]);
        expectNone(differenceIn(scene!, books, scene!.balancesAfter([one!])), what);
      }
    }

    const scene = services.scene();
    const one = scene.transfer(0, 1);
    const rest = scene.transfer(0, 2, { amount: scene.accounts[0].opening - one.amount, key: 2 });
    const answer = scene.firstAnswer(one);
    expect(await transfer(a, one), 'a transfer').toEqual(answer);
    expect(await transfer(b, rest), 'a transfer of all that was left then').toEqual({ moved: true, balance: 0 });
    for (const again of [a, b, a])
      expect(await transfer(again, one), `the first one again, in process ${again === a ? 'A' : 'B'}`).toEqual(answer);
    const crowd = [one, one, one, one];
    const outcomes = await Promise.all([a, b].map(({ subject }) => subject.run(transferAtOnce, crowd)));
    expect(outcomes.flat(), 'and again, 4 times at once in both').toEqual(Array.from({ length: 8 }, () => answer));
    expectNone(differenceIn(scene, await services.books(scene), scene.balancesAfter([one, rest])), 'after all that\n');
  });

  test('A key with other data must be refused, also while its first transfer is running.', async ({ services }) => {
    const [a, b] = [await services.running('A'), await services.running('B')];
    const refused = { moved: false, reason: 'key in use' };

    const scene = services.scene();
    const one = scene.transfer(0, 1);
    expect(await transfer(a, one), 'a transfer').toEqual(scene.firstAnswer(one));
    for (const [where, service] of [
      ['the same process', a],
      ['another process', b],
    ] as const)
      for (const [what, other] of [
        ['with another amount', { ...one, amount: one.amount + 1 }],
        ['to another account', { ...one, to: scene.ids[2]! }],
        ['from another account', { ...one, from: scene.ids[3]! }],
        ['in the other direction', { ...one, from: one.to, to: one.from }],
      ] as const)
        expect(await transfer(service, other), `its key again, ${what}, in ${where}`).toEqual(refused);
    expect(await transfer(b, one), 'and the first one again').toEqual(scene.firstAnswer(one));
    expectNone(differenceIn(scene, await services.books(scene), scene.balancesAfter([one])), 'after all that\n');

    for (const other of [b, a]) {
      let racing: Scene;
      const pair = () => [racing.transfer(0, 1), racing.transfer(2, 3)] as const;
      const reset = () => void (racing = services.scene());
      for await (const schedule of sweep(services, a, other, reset, (who) => pair()[who])) {
        const what = `two transfers between different accounts, with one key; ${whereOf(schedule, a, other)}`;
        const calls = callsOf(schedule, pair());
        const moved = calls.filter(hasMoved).map((call) => call.transfer);
        expect(
          calls.map(({ outcome }) => outcome),
          `${what}both answers`,
        ).toEqual(
          expect.arrayContaining([expect.objectContaining({ moved: true, balance: expect.any(Number) }), refused]),
        );
        expectNone(differenceIn(racing!, await services.books(racing!), racing!.balancesAfter(moved)), what);
      }
    }
  });

  test('At every instant, a reader must find whole transfers only, also after a connection or process has died.', async ({
    deaths,
  }) => {
    for (const { what, scene, seen, atEnd } of await deaths()) {
      for (const [when, books] of seen) expectNone(disagreementIn(scene, books), `${what}${when}, `);
      expectNone(disagreementIn(scene, atEnd), `${what}in the end, `);
      expectThat(atEnd.rows.length > 0, `${what}the ledger had no row, although the transfer was tried again twice`);
    }
  });

  test('close() must leave no connection open.', async ({ services }) => {
    await using a = await services.open('A');
    const scene = services.scene();

    const four = [0, 1, 2, 3].map((key) => scene.transfer(key, (key + 1) % 4, { key }));
    const outcomes = await a.subject.run(transferAtOnce, four);
    const isMoved = outcomes.some((outcome) => 'moved' in outcome && outcome.moved);
    expectThat(isMoved, `none of four transfers at once moved money: ${JSON.stringify(outcomes)}`);
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
    for (const { what, scene, one, dying, rival, again, atEnd } of await deaths()) {
      const answer = scene.firstAnswer(one);
      for (const [who, outcome] of Object.entries({ 'the transfer': dying, 'a second call at the same time': rival }))
        if (outcome && !('error' in outcome)) expect(outcome, `${what}answer of ${who}`).toEqual(answer);
      expect(again, `${what}the same key tried again, in two processes`).toEqual([answer, answer]);
      expectNone(differenceIn(scene, atEnd, scene.balancesAfter([one])), `${what}in the end, `);
    }
  });

  test('A transfer must not wait for a transfer between other accounts.', async ({ services }) => {
    const [a, b] = [await services.running('A'), await services.running('B')];

    for (const other of [b, a]) {
      let scene: Scene;
      const schedules = explore({
        ...common(services),
        first: { ...a, call: () => transfer(a, scene.transfer(0, 1)) },
        others: { ...other, call: () => transfer(other, scene.transfer(2, 3, { key: 2 })) },
        reset: async () => void (scene = services.scene()),
        standstill: async (call) => ((await settles(call)) ? 'done' : 'not done'),
      });
      for await (const schedule of schedules) {
        const what = `transfers between different accounts; ${whereOf(schedule, a, other)}`;
        expect(schedule.standstill, `${what}meanwhile the second one was`).toBe('done');
        expect(schedule.others, `${what}outcome of the second one`).toMatchObject({ moved: true });
      }
    }
  });

  test('A transfer that fails or is refused must leave no lock and no connection behind.', async ({ services }) => {
    const { refusing } = services;
    for (const [what, one, outcome] of [
      ['whose account could not be debited', refusing.transfer(0, 1), { error: expect.any(String) }],
      ['whose account could not be credited', refusing.transfer(1, 2), { error: expect.any(String) }],
      ['whose row of the ledger was refused', refusing.transfer(3, 1), { error: expect.any(String) }],
      ['of too much', refusing.transfer(3, 1, { amount: 1e15 }), { moved: false, reason: 'insufficient funds' }],
      [
        'to an unknown account',
        { ...refusing.transfer(1, 3), to: 'nobody' },
        { moved: false, reason: 'unknown account' },
      ],
    ] as const) {
      await using a = await services.open('A', 3);
      const outcomes = [];
      for (let call = 1; call <= 4; call++) outcomes.push(await transfer(a, one));
      expect(outcomes, `4 transfers ${what}, with a pool of 3 connections`).toEqual(outcomes.map(() => outcome));
      for (const account of [one.from, one.to])
        expectThat(
          await until(() => services.isFree(account)),
          `after 4 transfers ${what}, account ${account} was still locked`,
        );
      const scene = services.scene();
      const next = scene.transfer(0, 1);
      expect(await transfer(a, next), `after 4 transfers ${what}, the next one in the same process`).toEqual(
        scene.firstAnswer(next),
      );
    }
  });
});

/** Transfers between four accounts. Shares of what the payer has; a share of 1 takes all. */
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

interface Call {
  readonly transfer: Kata.Transfer;
  readonly outcome: Outcome;
}

interface Place<First, Others> {
  readonly step: number;
  readonly at: string;
  readonly timeline: string;
  readonly first: First;
  readonly others: Others;
}

function common({ database }: Services): Pick<Exploration<unknown, unknown>, 'admin' | 'maxSteps'> {
  return { admin: database.admin, maxSteps };
}

/** One transfer in `a` and one in `other`, which runs while the first one is stopped at each of its statements. */
function sweep(services: Services, a: Service, other: Service, reset: () => void, pick: (who: 0 | 1) => Kata.Transfer) {
  return explore({
    ...common(services),
    first: { ...a, call: () => transfer(a, pick(0)) },
    others: { ...other, call: () => transfer(other, pick(1)) },
    reset: async () => reset(),
  });
}

function callsOf(
  { first, others: second }: Place<Outcome, Outcome>,
  pair: readonly [Kata.Transfer, Kata.Transfer],
): Call[] {
  return [
    { transfer: pair[0], outcome: first },
    { transfer: pair[1], outcome: second },
  ];
}

function whereOf({ step, at, timeline }: Place<unknown, unknown>, a: Service, other: Service): string {
  const where = other === a ? 'in the same process' : 'in process B';
  return `the first one, in process A, was stopped ${at} its statement ${step} while the rest ran ${where}\n${timeline}\n`;
}

interface AtOnce {
  readonly what: string;
  readonly scene: Scene;
  readonly calls: readonly Call[];
  readonly books: Books;
}

/** Two transfers with an account in common, the first one stopped at each statement, for all ways in which they can touch. */
async function transfersAtOnce(services: Services): Promise<AtOnce[]> {
  const [a, b] = [await services.running('A'), await services.running('B')];
  const seen: AtOnce[] = [];
  for (const { does, from, to } of others)
    for (const other of from === 1 && to === 0 ? [b, a] : [b]) {
      let scene: Scene;
      const pair = () => [scene.transfer(0, 1), scene.transfer(from, to, { key: 2 })] as const;
      const reset = () => void (scene = services.scene());
      for await (const schedule of sweep(services, a, other, reset, (who) => pair()[who]))
        seen.push({
          what: `while a transfer runs, ${does}; ${whereOf(schedule, a, other)}`,
          scene: scene!,
          calls: callsOf(schedule, pair()),
          books: await services.books(scene!),
        });
    }
  return seen;
}

/** Whether the call moved money. What an answer says counts; where there is none, the ledger. */
function hasMoved({ outcome }: Call): boolean {
  return 'moved' in outcome && outcome.moved;
}

/** Balances must be what the answers say. A call that failed may have moved money only if the ledger says so. */
function expectMoneyKept(scene: Scene, calls: readonly Call[], books: Books, what: string): void {
  const failures = calls.flatMap(({ outcome }) => ('error' in outcome ? [outcome.error] : []));
  const failed = failures.length === 0 ? '' : `; ${failures.length} failed: ${failures[0]}`;
  expectThat(calls.some(hasMoved), `${what}no transfer moved money${failed}`);
  const moved = calls.filter(
    (call) => hasMoved(call) || ('error' in call.outcome && books.rows.some(({ key }) => key === call.transfer.key)),
  );
  const difference = differenceIn(scene, books, scene.balancesAfter(moved.map((call) => call.transfer)));
  expectNone(difference && `${difference} after ${moved.length} transfers${failed}`, what);
}

function expectNoneOverdrawn(scene: Scene, calls: readonly Call[], books: Books, most: number, what: string): void {
  const [payer] = scene.accounts;
  const moved = calls.filter(hasMoved).length;
  expectThat(
    moved <= most,
    `${what}${moved} of ${calls.length} transfers were answered as moved; the account, opened with ${payer.opening}, has money for ${most}`,
  );
  const balance = books.balances.get(payer.id)!;
  expectThat(balance >= 0, `${what}the account, opened with ${payer.opening}, has ${balance}`);
  expectMoneyKept(scene, calls, books, what);
  for (const { outcome } of calls)
    if ('reason' in outcome) expect(outcome.reason, `${what}reason of the refused one`).toBe('insufficient funds');
}

/** Fails with `what` and the fault, when there is one. */
function expectNone(fault: string | undefined, what: string): void {
  expectThat(fault === undefined, `${what}${fault}`);
}
