import { describe, expect } from 'vitest';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { expectForDrawn } from '../../helpers/judging/drawn/drawn.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { contrast } from '../../helpers/judging/verdict/contrast.ts';
import { median } from '../../helpers/judging/verdict/median.ts';
import { expectAtMost, expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/bulkhead/bulkhead.ts';
import { drawHistory, drawHistoryWithEverything, handOns, inWords } from './histories.ts';
import {
  type Play,
  type Seen,
  type Step,
  abortWithOneFn,
  costOfLongQueue,
  costOfShortQueues,
  countListeners,
  fillQueue,
  playHistories,
  playScripts,
  playStats,
  settleAll,
  throwInARow,
  useKeys,
} from './inside.ts';

/** How many microtasks may lie between the end of a call and what happens next: more than any module needs to notice. */
const gaps = Array.from({ length: 13 }, (_, gap) => gap);
const keysPerRound = 2000;
/** What may be held after so many keys of 4 KB each: an eighth of them. */
const heldLimit = 1024 ** 2;
/** How much more one of 100,000 waiters may cost than one of 1,000. */
const costLimit = 8;

const test = judge<typeof Kata>('bulkhead');

describe('core', () => {
  test('Never more than concurrency calls must be at work, at any interleaving; no slot must stay free while a call waits.', async ({
    subject,
  }) => {
    await expectOfHistories(subject, ({ most, rests }, { concurrency }) => {
      if (most > concurrency) return `${most} calls were at work at once`;
      const idle = rests.find(({ atWork, waiting }) => waiting.length > 0 && atWork.length < concurrency);
      return idle && `${idle.waiting.length} calls waited and only ${idle.atWork.length} were at work`;
    });
  });

  test('Waiting calls must begin in the order in which run was called.', async ({ subject }) => {
    await expectOfHistories(subject, ({ begun, rests }) => {
      for (const { atWork, waiting } of rests) {
        const overtaken = waiting.find((id) => atWork.some((other) => other > id));
        if (overtaken !== undefined) return `call ${overtaken + 1} still waited when a later one was at work`;
      }
      const waited = new Set(rests.flatMap(({ waiting }) => waiting));
      const order = begun.filter((id) => waited.has(id));
      const late = order.findIndex((id, index) => index > 0 && id < order[index - 1]!);
      return late === -1
        ? undefined
        : `both waited, and call ${order[late - 1]! + 1} began before call ${order[late]! + 1}`;
    });
  });

  test('run must return what fn returns, reject with what fn throws, and call fn once.', async ({ subject }) => {
    const faults = await subject.run(settleAll);

    expectThat(faults.length === 0, `${faults[0]} (${faults.length} faults like this)`);
  });

  test('stats() must count the calls at work and the calls that wait.', async ({ subject }) => {
    await expectForDrawn({
      examples: drawHistoryWithEverything,
      count: 60,
      ask: (plays: readonly Play[]) => subject.run(playStats, plays),
      fault: ({ seen, told }) => {
        const difference = contrast(seen, told, ['the judge sees', 'stats() returns']);
        return difference && `step by step\n${difference}\n`;
      },
      inWords,
    });
  });
});

describe('robust', () => {
  test('Beyond concurrency and queueLimit, run must reject at once with a BulkheadFullError, without calling fn.', async ({
    subject,
  }) => {
    const sizes = [
      [1, 0],
      [1, 1],
      [2, 3],
      [3, 0],
    ] as const;
    await expectScripts(
      subject,
      sizes.flatMap(([concurrency, queueLimit]): Play[] => {
        const all = concurrency + queueLimit;
        const full = at(concurrency, queueLimit);
        const afterEnd = queueLimit > 0 ? at(concurrency, queueLimit - 1) : at(concurrency - 1, 0);
        const then: Step[] = [
          ['end'],
          ['rest', list(afterEnd, '2 refused, full', '1 returned')],
          ['call'],
          ['rest', list(full, '2 refused, full', '1 returned')],
          ['call'],
          ['rest', list(full, '3 refused, full', '1 returned')],
        ];
        return [
          // One after the other, and all in one go.
          {
            concurrency,
            queueLimit,
            steps: [...calls(all), ['rest', full], ...calls(2), ['rest', list(full, '2 refused, full')], ...then],
          },
          { concurrency, queueLimit, steps: [...calls(all + 2), ['rest', list(full, '2 refused, full')], ...then] },
        ];
      }),
    );
  });

  test('A call whose fn throws or rejects must free its slot, once.', async ({ subject }) => {
    await expectScripts(
      subject,
      [1, 2].flatMap((concurrency) => {
        const queueLimit = Infinity;
        const many = 2 * concurrency + 1;
        const works = (['throws', 'rejects'] as const).flatMap((work): Play[] => [
          {
            concurrency,
            queueLimit,
            steps: [
              ...calls(many, { work }),
              ['rest', `${many} failed`],
              ...calls(concurrency + 1),
              ['rest', list(at(concurrency, 1), `${many} failed`)],
            ],
          },
          {
            concurrency,
            queueLimit,
            steps: [
              ...calls(concurrency),
              ...calls(many, { work }),
              ['rest', at(concurrency, many)],
              ['end'],
              ['rest', list(at(concurrency - 1, 0), `${many} failed`, '1 returned')],
              ...calls(concurrency + 1),
              ['rest', list(at(concurrency, concurrency), `${many} failed`, '1 returned')],
            ],
          },
        ]);
        const held: Play = {
          concurrency,
          queueLimit,
          steps: [
            ...calls(2 * concurrency + 1),
            ['rest', at(concurrency, concurrency + 1)],
            ['end', { how: 'rejects' }],
            ['rest', list(at(concurrency, concurrency), '1 failed')],
            ['end', { how: 'rejects' }],
            ['rest', list(at(concurrency, concurrency - 1), '2 failed')],
          ],
        };
        return [...works, held];
      }),
    );

    const waiters = 30_000;
    const rejected = await subject.run(throwInARow, { waiters });
    expect(rejected, `${waiters} calls waited, the fn of each throws; how many were rejected`).toBe(waiters);
  });

  test('An aborted waiter must reject with its signal’s reason, leave the queue, and wake nobody else.', async ({
    subject,
  }) => {
    const one = { concurrency: 1, queueLimit: 3 };
    const two = { concurrency: 2, queueLimit: 3 };
    const probe = (...outcomes: string[]): Step[] => [...calls(2), ['rest', list(at(1, 1), ...outcomes)]];
    await expectScripts(subject, [
      {
        ...one,
        steps: [
          ['call'],
          ['call', { signal: 'first' }],
          ['call', { signal: 'second' }],
          ['call'],
          ['rest', at(1, 3)],
          ['abort', 'second'],
          ['rest', list(at(1, 2), '1 aborted')],
          ['call'],
          ['rest', list(at(1, 3), '1 aborted')],
          ['abort', 'first', 'the client went away'],
          ['rest', list(at(1, 2), '2 aborted')],
          ['end'],
          ['rest', list(at(1, 1), '2 aborted', '1 returned')],
          ['end'],
          ['rest', list(at(1, 0), '2 aborted', '2 returned')],
          ['end'],
          ['rest', '2 aborted, 3 returned'],
          ...probe('2 aborted', '3 returned'),
        ],
      },
      {
        ...two,
        steps: [
          ...calls(2),
          ...calls(3, { signal: 'of all' }),
          ['rest', at(2, 3)],
          ['abort', 'of all'],
          ['rest', list(at(2, 0), '3 aborted')],
          ['end'],
          ['rest', list(at(1, 0), '3 aborted', '1 returned')],
          ...calls(2),
          ['rest', list(at(2, 1), '3 aborted', '1 returned')],
        ],
      },
      {
        ...one,
        steps: [
          ...calls(1),
          ...calls(3, { signal: 'of all' }),
          ['rest', at(1, 3)],
          ['end'],
          ['rest', list(at(1, 2), '1 returned')],
          ['abort', 'of all'],
          // Whether the one at work hears of it is up to promise 8.
          ['rest', list(at(1, 0), '2 aborted', '1 returned'), '1 at work (1 aborted), 2 aborted, 1 returned'],
        ],
      },
      {
        ...one,
        steps: [
          ['abort', 'before'],
          ['call', { signal: 'before' }],
          ['rest', '1 aborted'],
          ['call'],
          ['rest', list(at(1, 0), '1 aborted')],
          ['call', { signal: 'before' }],
          ['rest', list(at(1, 0), '2 aborted')],
          ['call'],
          ['rest', list(at(1, 1), '2 aborted')],
        ],
      },
      ...gaps.flatMap((gap): Play[] => [
        {
          ...one,
          steps: [
            ['call'],
            ['call', { signal: 'late' }],
            ['call'],
            ['rest', at(1, 2)],
            ['end'],
            ['microtasks', gap],
            ['abort', 'late'],
            // Either may come first: the abort; or the slot, and then the abort finds it at work, whether or not fn hears of it.
            [
              'rest',
              list(at(1, 0), '1 aborted', '1 returned'),
              '1 at work (1 aborted), 1 waiting, 1 returned',
              list(at(1, 1), '1 returned'),
            ],
            ['end'],
            ['rest', '1 aborted, 2 returned', list(at(1, 0), '2 returned')],
            ['end'],
            ['rest', '1 aborted, 2 returned', '3 returned'],
            ...calls(2),
            ['rest', list(at(1, 1), '1 aborted', '2 returned'), list(at(1, 1), '3 returned')],
          ],
        },
        {
          ...one,
          steps: [
            ['call'],
            ['call', { signal: 'early' }],
            ['call'],
            ['rest', at(1, 2)],
            ['abort', 'early'],
            ['microtasks', gap],
            ['end'],
            ['rest', list(at(1, 0), '1 aborted', '1 returned')],
            ['end'],
            ['rest', '1 aborted, 2 returned'],
            ...probe('1 aborted', '2 returned'),
          ],
        },
      ]),
    ]);

    expect(
      await subject.run(abortWithOneFn),
      'six calls pass the same fn, one may be at work; call 2 is aborted, then calls 5 and 6, and the others end; each call',
    ).toEqual({
      'after call 2': ['open', 'aborted', 'open', 'open', 'open', 'open'],
      'after calls 5 and 6': ['open', 'aborted', 'open', 'open', 'aborted', 'aborted'],
      'at last': ['returned', 'aborted', 'returned', 'returned', 'aborted', 'aborted'],
      begun: 3,
    });
  });

  test('An abort at work must reach fn’s signal; only the end of fn frees the slot.', async ({ subject }) => {
    const limits = { concurrency: 1, queueLimit: 3 };
    const first: [already: string[], steps: Step[]][] = [
      [[], [['call', { signal: 's' }]]],
      [['1 returned'], [['call'], ['call', { signal: 's' }], ['rest', at(1, 1)], ['end']]],
    ];
    await expectScripts(
      subject,
      first.flatMap(([already, steps]): Play[] => [
        ...(['returns', 'rejects'] as const).map((how): Play => {
          const ended =
            how === 'rejects' ? ['1 failed', ...already] : [already.length > 0 ? '2 returned' : '1 returned'];
          return {
            ...limits,
            steps: [
              ...steps,
              ['rest', list(at(1, 0), ...already)],
              ['call'],
              ['rest', list(at(1, 1), ...already)],
              ['abort', 's'],
              ['rest', list('1 at work (1 aborted), 1 waiting', ...already)],
              ['call'],
              ['rest', list('1 at work (1 aborted), 2 waiting', ...already)],
              ['end', { how }],
              ['rest', list(at(1, 1), ...ended)],
              ['call'],
              ['rest', list(at(1, 2), ...ended)],
            ],
          };
        }),
        // Too late: it has ended.
        {
          ...limits,
          steps: [
            ...steps,
            ['rest', list(at(1, 0), ...already)],
            ['end', { how: 'rejects' }],
            ['rest', list('1 failed', ...already)],
            ...calls(2),
            ['rest', list(at(1, 1), '1 failed', ...already)],
            ['abort', 's'],
            ['rest', list(at(1, 1), '1 failed', ...already)],
            ['call'],
            ['rest', list(at(1, 2), '1 failed', ...already)],
          ],
        },
      ]),
    );
    await expectScripts(subject, [
      {
        concurrency: 2,
        queueLimit: 3,
        steps: [
          ['call', { signal: 's' }],
          ['call'],
          ['rest', at(2, 0)],
          ['end', { how: 'rejects' }],
          ['rest', list(at(1, 0), '1 failed')],
          ...calls(2),
          ['rest', list(at(2, 1), '1 failed')],
          // Too late, while others are at work.
          ['abort', 's'],
          ['rest', list(at(2, 1), '1 failed')],
        ],
      },
      {
        ...limits,
        steps: [
          ['call', { signal: 's', work: 'obeys its signal' }],
          ['call'],
          ['call'],
          ['rest', at(1, 2)],
          ['abort', 's'],
          ['rest', list(at(1, 1), '1 failed')],
        ],
      },
    ]);
  });
});

describe('stretch', () => {
  test('Calls with one key must share limits of their own and leave other keys alone.', async ({ subject }) => {
    const limits = { concurrency: 1, queueLimit: 1 };
    const names = ['a', 'b', 'A', '', ' ', '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'undefined'];
    const each = (text: string, ...own: string[]) =>
      [...own, ...names.map((name) => `${JSON.stringify(name)}: ${text}`)].join('; ');
    const twice = names.flatMap((key) => calls(2, { key }));
    await expectScripts(subject, [
      {
        ...limits,
        steps: [
          ...calls(2),
          ...twice,
          ['rest', each(at(1, 1), at(1, 1))],
          ...names.flatMap((key) => calls(1, { key })),
          ['rest', each(list(at(1, 1), '1 refused, full'), at(1, 1))],
          ...names.map((key): Step => ['end', { key }]),
          ['rest', each(list(at(1, 0), '1 refused, full', '1 returned'), at(1, 1))],
          ['end'],
          ['rest', each(list(at(1, 0), '1 refused, full', '1 returned'), list(at(1, 0), '1 returned'))],
        ],
      },
      ...[1, 2].flatMap((concurrency) =>
        gaps.map((gap): Play => {
          const key = 'a';
          const full = `"a": ${list(at(concurrency, 4 - concurrency), '1 returned')}`;
          return {
            concurrency,
            queueLimit: 9,
            steps: [
              ['call', { key, keepsHandle: true }],
              ['rest', '"a": 1 at work'],
              ['end', { key }],
              // The key is idle now, or about to be.
              ['microtasks', gap],
              ['call', { key }],
              ['call', { key, keepsHandle: true }],
              ['microtasks', gap],
              ['call', { key }],
              ['call', { key, keepsHandle: true }],
              ['rest', full],
            ],
          };
        }),
      ),
      // Two calls end together, and the key is at work again when the second one has.
      {
        concurrency: 2,
        queueLimit: 9,
        steps: [
          ['call', { key: 'a', again: 'at its result' }],
          ['call', { key: 'a' }],
          ['rest', '"a": 2 at work'],
          ['end', { key: 'a' }],
          ['end', { key: 'a' }],
          ['rest', '"a": 1 at work, 2 returned'],
          ...calls(3, { key: 'a' }),
          ['rest', '"a": 2 at work, 2 waiting, 2 returned'],
        ],
      },
      {
        concurrency: 1,
        queueLimit: 9,
        steps: [
          ['call', { key: 'a', keepsHandle: true }],
          ['rest', '"a": 1 at work'],
          ['end', { key: 'a' }],
          ['rest', '"a": 1 returned'],
          ['call', { key: 'a' }],
          ['rest', '"a": 1 at work, 1 returned'],
          ['call', { key: 'a', keepsHandle: true }],
          ['rest', '"a": 1 at work, 1 waiting, 1 returned'],
        ],
      },
    ]);
  });

  test('A call that has ended must leave no listener, and an idle key no memory.', async ({ subject }) => {
    for (const { state, listeners } of await subject.run(countListeners))
      expect(listeners, `abort listeners on the signal after ${state}`).toBe(0);

    await useAndEnd(subject, 200);
    const before = await subject.heldBytes();
    await useAndEnd(subject, keysPerRound);
    let held = (await subject.heldBytes()) - before;
    // What finalizers let go is collected after them.
    for (let round = 0; round < 5 && held > heldLimit / 2; round++) held = (await subject.heldBytes()) - before;
    expectAtMost(held, heldLimit, `${keysPerRound} keys of 4 KB became idle; what the process holds went up by`);
  });

  test('drain() must refuse newcomers with a BulkheadClosedError, and resolve when the last accepted call has ended.', async ({
    subject,
  }) => {
    const limits = { concurrency: 1, queueLimit: 2 };
    const drains = (count: number, of: number) => `${count} of ${of} drained`;
    const refused = '1 refused, closed';
    await expectScripts(subject, [
      {
        ...limits,
        steps: [
          ...calls(2),
          ...calls(2, { key: 'a', keepsHandle: true }),
          ['rest', `${at(1, 1)}; "a": ${at(1, 1)}`],
          ['drain'],
          ['rest', `${at(1, 1)}; "a": ${at(1, 1)}; ${drains(0, 1)}`],
          ['call'],
          ['call', { key: 'a', keepsHandle: true }],
          ['call', { key: 'new' }],
          ['rest', `${list(at(1, 1), refused)}; "a": ${list(at(1, 1), refused)}; "new": ${refused}; ${drains(0, 1)}`],
          ['drain'],
          ['end'],
          [
            'rest',
            `${list(at(1, 0), refused, '1 returned')}; "a": ${list(at(1, 1), refused)}; "new": ${refused}; ${drains(0, 2)}`,
          ],
          ['end'],
          [
            'rest',
            `${list(refused, '2 returned')}; "a": ${list(at(1, 1), refused)}; "new": ${refused}; ${drains(0, 2)}`,
          ],
          ['end', { key: 'a' }],
          [
            'rest',
            `${list(refused, '2 returned')}; "a": ${list(at(1, 0), refused, '1 returned')}; "new": ${refused}; ${drains(0, 2)}`,
          ],
          ['end', { key: 'a', how: 'rejects' }],
          [
            'rest',
            `${list(refused, '2 returned')}; "a": ${list('1 failed', refused, '1 returned')}; "new": ${refused}; ${drains(2, 2)}`,
          ],
          ['call'],
          ['drain'],
          [
            'rest',
            `${list('2 refused, closed', '2 returned')}; "a": ${list('1 failed', refused, '1 returned')}; "new": ${refused}; ${drains(3, 3)}`,
          ],
        ],
      },
      { ...limits, steps: [['drain'], ['rest', drains(1, 1)], ['call'], ['rest', `${refused}; ${drains(1, 1)}`]] },
      {
        ...limits,
        steps: [
          ['call'],
          ['call', { signal: 's' }],
          ['rest', at(1, 1)],
          ['drain'],
          ['end'],
          ['rest', `${at(1, 0)}, 1 returned; ${drains(0, 1)}`],
          ['end'],
          ['rest', `2 returned; ${drains(1, 1)}`],
        ],
      },
      ...gaps.map((gap): Play => ({
        ...limits,
        steps: [
          ['call'],
          ['rest', at(1, 0)],
          ['end'],
          ['microtasks', gap],
          ['drain'],
          ['rest', `1 returned; ${drains(1, 1)}`],
        ],
      })),
    ]);
  });

  test('CPU time must grow linearly with the queue, up to 100,000 waiters that begin or abort.', async ({ fresh }) => {
    // The limit is for a module that hangs. A slow one is stopped by its budget.
    const subject = await fresh({ limitMs: 30_000 });
    const [short, long] = [
      { waiters: 1000, begins: 400 },
      { waiters: 100_000, begins: 7000 },
    ];
    const few = await subject.run(costOfShortQueues, { ...short, times: 40 });
    expect(few.begun, 'of 40 × 1,000 waiters, how many began').toBe(16_000);

    const usual = { abort: median(few.abort), begin: median(few.begin) };
    // Of the waiters that abort, some answers get rid only when their turn comes, before the first one begins.
    const aborted = 60_000;
    const budget = {
      abort: 3 * costLimit * usual.abort * aborted,
      begin: 3 * costLimit * usual.begin * (long.begins + aborted),
    };
    await subject.run(fillQueue, { waiters: long.waiters });
    const many = await subject.run(costOfLongQueue, { begins: long.begins, budget });
    for (const what of ['abort', 'begin'] as const) {
      const ratio = median(many[what]) / usual[what];
      const sentence = `waiters ${what}: CPU time for each of 100,000, compared with each of 1,000,`;
      expectAtMost(ratio, costLimit, sentence, 'times');
    }
    expect(many.begun, 'of 100,000 waiters, how many began when they should').toBe(7000);
  });
});

/** Uses keys in some ways, and waits until all their calls have ended. */
async function useAndEnd(subject: Subject<typeof Kata>, count: number): Promise<void> {
  const open = await subject.run(useKeys, { count });
  expect(open, `calls that were not settled after ${count} keys had been used and all work had ended`).toBe(0);
}

/** Plays newcomers at every microtask around the end of a call, and drawn histories. */
async function expectOfHistories(
  subject: Subject<typeof Kata>,
  faultOf: (seen: Seen, play: Play) => string | undefined,
): Promise<void> {
  const seen = await subject.run(playHistories, handOns);
  for (const [index, play] of handOns.entries()) {
    const fault = faultOf(seen[index]!, play);
    expectThat(fault === undefined, `${inWords(play)}: ${fault}`);
  }
  await expectForDrawn({
    examples: drawHistory,
    count: 150,
    ask: (plays: readonly Play[]) => subject.run(playHistories, plays),
    fault: faultOf,
    inWords,
  });
}

async function expectScripts(subject: Subject<typeof Kata>, plays: readonly Play[]): Promise<void> {
  const accounts = await subject.run(playScripts, plays);
  for (const [index, play] of plays.entries()) {
    const seen = accounts[index]!;
    const rests = play.steps.flatMap((step) => (step[0] === 'rest' ? [step.slice(1) as string[]] : []));
    const expected = rests.map((some, rest) => (some.includes(seen[rest]!) ? seen[rest]! : some[0]!));
    const difference = contrast(expected, seen, ['expected at each rest', 'seen']);
    expectThat(difference === undefined, `${inWords(play)}\n${difference}`);
  }
}

function calls(count: number, options?: Extract<Step, readonly ['call', unknown?]>[1]): Step[] {
  return Array.from({ length: count }, (): Step => (options ? ['call', options] : ['call']));
}

/** How the stage tells of calls at work and of those that wait. */
function at(work: number, waiting: number): string {
  return list(work > 0 ? `${work} at work` : '', waiting > 0 ? `${waiting} waiting` : '');
}

function list(...parts: readonly string[]): string {
  return parts.filter(Boolean).join(', ');
}
