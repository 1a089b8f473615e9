import { EventEmitter, on } from 'node:events';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { expectForDrawn } from '../../helpers/judging/drawn/drawn.ts';
import { useSubject } from '../../helpers/judging/subject/use-subject.ts';
import { contrast } from '../../helpers/judging/verdict/contrast.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/event-emitter/event-emitter.ts';
import { type History, type Step, listenersInWords, play } from './history.ts';
import { type LoopHistory, type LoopStep, endLoops, playLoops } from './loop-history.ts';
import { type Rejection, playRejections } from './rejections.ts';
import { type Crowd, playWarnings } from './warnings.ts';

const titles = ['Node’s class', 'yours'] as const;
const [f, g, h] = [0, 1, 2];
/** A number that no listener has: what is handed over there is no function. */
const noFunction = 9;

describe('core', () => {
  test('Every listener of an event is called, in the order in which they were added, with the arguments and the emitter as this.', async () => {
    const histories = [
      alone(['on', 'a', f], ['on', 'a', g], ['on', 'b', h], ['emit', 'a', 1, 'two', 3], ['emit', 'b']),
      alone(['on', 'a', g], ['on', 'a', f], ['once', 'a', h], ['emit', 'a'], ['emit', 'a', 1, 2, 3, 4, 5, 6]),
    ];
    await expectAsNode(histories.map((one) => ({ ...one, heeds: 'this' })));
  });

  test('once calls its listener for one event only.', async () => {
    await expectAsNode([
      alone(['once', 'a', f], ['emit', 'a', 1], ['emit', 'a', 2]),
      alone(['once', 'a', f], ['once', 'a', g], ['on', 'a', h], ['emit', 'a', 1], ['emit', 'a', 2]),
      alone(['on', 'a', f], ['once', 'a', g], ['once', 'b', g], ['emit', 'a'], ['emit', 'b'], ['emit', 'a']),
    ]);
  });

  test('off takes away the listener that it is given, and no other.', async () => {
    await expectAsNode([
      alone(['on', 'a', f], ['on', 'a', g], ['on', 'b', f], ['off', 'a', f], ['emit', 'a'], ['emit', 'b']),
      alone(['on', 'a', f], ['off', 'a', g], ['off', 'b', f], ['emit', 'a'], ['off', 'a', f], ['emit', 'a']),
      alone(
        ['on', 'a', f],
        ['on', 'a', g],
        ['on', 'a', h],
        ['off', 'a', g],
        ['emit', 'a'],
        ['on', 'a', g],
        ['emit', 'a'],
      ),
    ]);
  });

  test('emit, listenerCount and listeners answer truly, and every other call gives back the emitter.', async () => {
    const asks: Step[] = [
      ['count', 'a'],
      ['who', 'a'],
      ['emit', 'a'],
    ];
    const histories = [
      alone(...asks, ['on', 'a', f], ...asks, ['off', 'a', f], ...asks),
      alone(['limit', 20], ['once', 'a', g], ['on', 'a', f], ...asks, ...asks),
      alone(['on', 'a', f], ['on', 'a', g], ['spoil', 'a'], ...asks),
      alone(['on', 'a', noFunction], ['once', 'a', noFunction], ...asks),
    ];
    await expectAsNode(histories.map((one) => ({ ...one, heeds: 'answers' })));
  });

  test('The class is your own: Node’s does no work in it.', async () => {
    const seen = await (
      await kataProcess()
    ).evaluate(async (kata, _args, _kept, { load }) => {
      const events = await load<typeof import('node:events')>('node:events');
      const { syncBuiltinESMExports } = await load<typeof import('node:module')>('node:module');
      const own: Record<string, unknown> = kata.EventEmitter.prototype as never;
      const theirs: Record<string, unknown> = events.EventEmitter.prototype as never;
      if (own === theirs) return ['it is Node’s own class'];
      if (own instanceof events.EventEmitter) return ['it extends Node’s'];

      const found = new Set<string>();
      const names = ['on', 'once', 'off', 'addListener', 'removeListener', 'emit', 'listenerCount', 'listeners'];
      for (const name of names) if (own[name] === theirs[name]) found.add(`its ${name} is Node’s`);
      if (found.size > 0) return [...found];

      const before = Object.getOwnPropertyDescriptors(theirs);
      const { on: theirOn } = events;
      for (const name of names) {
        const method = theirs[name] as (...args: unknown[]) => unknown;
        theirs[name] = function (this: unknown, ...args: unknown[]) {
          found.add(`${name} of Node’s is called by it`);
          return Reflect.apply(method, this, args);
        };
      }
      // Whoever makes an emitter of Node's gives it this field, however he got hold of the class.
      Object.defineProperty(theirs, '_events', {
        configurable: true,
        get: () => undefined,
        set(value) {
          found.add('it makes an emitter of Node’s');
          Object.defineProperty(this, '_events', { value, writable: true, configurable: true, enumerable: true });
        },
      });
      events.on = ((...args: Parameters<typeof theirOn>) => {
        found.add('on of Node’s is called by its on');
        return theirOn(...args);
      }) as typeof theirOn;
      syncBuiltinESMExports();
      try {
        const emitter = new kata.EventEmitter();
        const listener = () => undefined;
        emitter.on('a', listener);
        emitter.once('a', listener);
        emitter.emit('a');
        emitter.off('a', listener);
        if ('on' in kata) void kata.on(emitter, 'a', { signal: new AbortController().signal }).return?.();
      } catch {
        // What it does is judged elsewhere.
      } finally {
        Object.defineProperties(theirs, before);
        events.on = theirOn;
        syncBuiltinESMExports();
      }
      return [...found].slice(0, 3);
    });

    expectThat(seen.length === 0, `Node’s class is at work: ${seen.join('; ')}`);
  });
});

describe('robust', () => {
  test('What a listener adds or takes away during an emit counts from the next emit on.', async () => {
    const twice: Step[] = [
      ['emit', 'a', 1],
      ['emit', 'a', 2],
    ];
    await expectAsNode([
      history([[['off', 'a', f]], [], []], ['on', 'a', f], ['on', 'a', g], ['on', 'a', h], ...twice),
      history([[['off', 'a', g]], [], []], ['on', 'a', f], ['on', 'a', g], ['on', 'a', h], ...twice),
      history([[['on', 'a', g]], [], []], ['on', 'a', f], ['on', 'a', h], ...twice),
      history([[['off', 'a', g]], [], []], ['on', 'a', f], ['once', 'a', g], ['on', 'a', h], ...twice),
      history([[['once', 'a', g]], []], ['on', 'a', f], ...twice),
      history(
        [
          [
            ['off', 'a', f],
            ['on', 'a', f],
          ],
          [],
        ],
        ['on', 'a', f],
        ['on', 'a', g],
        ...twice,
      ),
    ]);
  });

  test('A once listener that emits its own event is not called again for it.', async () => {
    await expectAsNode([
      history([[['emit', 'a', 2]], []], ['once', 'a', f], ['on', 'a', g], ['emit', 'a', 1]),
      history([[['emit', 'a', 2]]], ['once', 'a', f], ['emit', 'a', 1], ['emit', 'a', 3]),
      // The first of them emits it once more, before the second has had its turn.
      history([[['emit', 'a', 2]], []], ['once', 'a', f], ['once', 'a', g], ['emit', 'a', 1], ['count', 'a']),
    ]);
  });

  test('off takes away a once listener, too, by the function that once was given.', async () => {
    await expectAsNode([
      alone(['once', 'a', f], ['off', 'a', f], ['emit', 'a']),
      alone(['once', 'a', f], ['on', 'a', g], ['once', 'a', h], ['off', 'a', f], ['off', 'a', h], ['emit', 'a']),
    ]);
  });

  test('A function that was added twice is called twice, and off takes away the one that was added last.', async () => {
    await expectAsNode([
      alone(['on', 'a', f], ['on', 'a', g], ['on', 'a', f], ['emit', 'a'], ['off', 'a', f], ['emit', 'a']),
      alone(['on', 'a', f], ['on', 'a', f], ['off', 'a', f], ['off', 'a', f], ['emit', 'a']),
      alone(['on', 'a', f], ['on', 'a', g], ['once', 'a', f], ['off', 'a', f], ['emit', 'a', 1], ['emit', 'a', 2]),
      alone(['once', 'a', f], ['on', 'a', g], ['on', 'a', f], ['emit', 'a', 1], ['emit', 'a', 2]),
    ]);
  });

  test('An error that nobody listens to is thrown, and so is what a listener throws.', async () => {
    await expectAsNode([
      alone(['emit', 'error', 'E1']),
      alone(['emit', 'error', 7], ['emit', 'error', 'a text'], ['emit', 'error', '@s'], ['emit', 'error']),
      alone(['on', 'error', f], ['emit', 'error', 'E1', 2], ['off', 'error', f], ['emit', 'error', 'E1']),
      alone(['once', 'error', f], ['emit', 'error', 'E1'], ['emit', 'error', 'E1']),
      history(
        [[['throw']], [], []],
        ['on', 'a', g],
        ['on', 'a', f],
        ['on', 'a', h],
        ['on', 'error', h],
        ['emit', 'a'],
        ['emit', 'a'],
      ),
      history([[['throw']], []], ['once', 'a', f], ['on', 'a', g], ['emit', 'a', 1], ['emit', 'a', 2]),
      history([[['throw']], []], ['on', 'error', f], ['on', 'error', g], ['emit', 'error', 'E1'], ['emit', 'a']),
    ]);
  });

  test('More listeners of an event than setMaxListeners allows cause one warning; 0 allows any number.', async () => {
    const crowds: [what: string, crowd: Crowd][] = [
      ['ten listeners, and the limit was never set', { add: [['orders', 10]] }],
      ['fifteen listeners, and the limit was never set', { add: [['orders', 15]] }],
      ['twelve once listeners, and the limit was never set', { add: [['orders', 12]], once: true }],
      [
        'a limit of 2, two events with four listeners each',
        {
          limit: 2,
          add: [
            ['orders', 4],
            ['payments', 4],
          ],
        },
      ],
      [
        'a limit of 2, two events with two listeners each',
        {
          limit: 2,
          add: [
            ['orders', 2],
            ['payments', 2],
          ],
        },
      ],
      [
        'a limit of 1, two listeners, and two more',
        {
          limit: 1,
          add: [
            ['orders', 2],
            ['orders', 2],
          ],
        },
      ],
      [
        'five listeners, then a limit of 2, and one more',
        {
          limitThen: 2,
          add: [
            ['orders', 5],
            ['orders', 1],
          ],
        },
      ],
      [
        'a limit of 1, two listeners, then a limit of 3, and two more',
        {
          limit: 1,
          limitThen: 3,
          add: [
            ['orders', 2],
            ['orders', 2],
          ],
        },
      ],
      ['a limit of 0, thirty listeners', { limit: 0, add: [['orders', 30]] }],
      ['a limit of 3; three listeners come and go, four times', { limit: 3, add: [['orders', 3]], again: 4 }],
    ];
    const theirs = await playWarnings(
      { EventEmitter },
      crowds.map(([, crowd]) => crowd),
    );

    const seen = await (
      await kataProcess()
    ).evaluate(
      playWarnings,
      crowds.map(([, crowd]) => crowd),
    );

    for (const [index, [what]] of crowds.entries())
      expect(seen[index], `${what}; the warnings, each by its name and the event in its message`).toEqual(
        theirs[index],
      );
  });

  test('newListener comes before a listener is added, and removeListener after it was taken away.', async () => {
    const heard: Step[] = [
      ['on', 'newListener', f],
      ['on', 'removeListener', f],
    ];
    const asks: Step[] = [['count', 'a']];
    await expectAsNode([
      history([asks, [], []], ...heard, ['on', 'a', g], ['on', 'a', h], ['off', 'a', g], ['off', 'a', h]),
      history([asks, []], ...heard, ['once', 'a', g], ['emit', 'a']),
      history([asks, [], []], ...heard, ['once', 'a', g], ['on', 'a', h], ['emit', 'a', 1], ['off', 'a', g]),
      history([asks, []], ...heard, ['once', 'a', g], ['off', 'a', g], ['off', 'a', g]),
      // One that is added while another is announced comes before it.
      history([[['on', 'a', h]], [], []], ['once', 'newListener', f], ['on', 'a', g], ['emit', 'a']),
      history(
        [[], []],
        ['on', 'newListener', f],
        ['on', 'newListener', g],
        ['on', 'removeListener', g],
        ['off', 'newListener', f],
      ),
    ]);
  });

  test('Every string and every symbol is the name of an event, also __proto__ and constructor.', async () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', '', '@s'];
    await expectAsNode([
      alone(['on', '@s', f], ['on', 'Symbol(s)', g], ['emit', '@s', 1], ['emit', 'Symbol(s)', 2]),
      ...names.flatMap((name) => [
        alone(['count', name], ['who', name], ['off', name, f], ['emit', name, 1]),
        alone(
          ['on', name, f],
          ['once', name, g],
          ['emit', name, 1],
          ['emit', name, 2],
          ['count', name],
          ['off', name, f],
          ['emit', name],
        ),
      ]),
    ]);
  });

  test('Any history of these calls goes as it goes with Node’s class.', async () => {
    await expectForDrawn({
      examples: drawHistory,
      count: 600,
      ask: otherwiseThanNode,
      fault: (difference) => difference && `it goes otherwise\n${difference}\n`,
      inWords: (drawn) => ['a history', listenersInWords(drawn)].filter(Boolean).join(' in which '),
    });
  });
});

describe('stretch', () => {
  test('on() hands over each event in order, also those that came before they were asked for, and then the error.', async () => {
    const lives: LoopHistory[] = [
      [
        [
          ['emit', 1],
          ['emit', 2, 3],
        ],
        [['next'], ['next']],
        [['next'], ['next']],
        [
          ['emit', 4],
          ['emit', 5],
        ],
      ],
      [[['next']], [['emit', 1], ['next'], ['emit', 2]], [['next']], [['emit', 3]]],
      [[['emit', 1], ['error']], [['emit', 2]], [['next'], ['next'], ['next']]],
      [[['next'], ['next']], [['error']], [['next']]],
      [[['emit', 1], ['abort']], [['emit', 2]], [['next'], ['next'], ['next']]],
      [[['next'], ['next']], [['abort']], [['next']]],
    ];
    const ask = async (some: readonly LoopHistory[]) =>
      (await playedLoops(some)).map(({ theirs, yours }) => contrast(theirs.lines, yours.lines, titles));

    for (const difference of await ask(lives)) expectThat(difference === undefined, difference ?? '');
    await expectForDrawn({
      examples: drawLoop,
      count: 100,
      ask,
      fault: (difference) => difference && `it goes otherwise\n${difference}\n`,
      inWords: () => 'an iterator',
    });
  });

  test('A loop over on() that ends, by break, error or abort, leaves no listener behind.', async () => {
    const ends = [
      'ended',
      'ended by an error of its body',
      'ended by AbortError',
      'ended by E1',
      'ended by AbortError',
    ];
    const loops = await (await kataProcess()).evaluate(endLoops);

    for (const [index, { how, end, left }] of loops.entries())
      expect({ end, left }, `${how}; how it came to its end, and the listeners left on emitter and signal`).toEqual({
        end: ends[index],
        left: 0,
      });
    const lives: LoopHistory[] = [
      [[['emit', 1]], [['return']]],
      [[['next'], ['next']], [['abort']]],
      [[['emit', 1]], [['abort']]],
      [[['next']], [['error']]],
      [[['emit', 1], ['error']]],
    ];
    for (const [index, { yours }] of (await playedLoops(lives)).entries()) {
      const calls = lives[index]!.flat().map(([kind]) => kind);
      expect(yours.left, `an iterator, and then ${calls.join(', ')}; listeners left on emitter and signal`).toBe(0);
    }
  });

  test('With captureRejections a listener’s rejection becomes an error event, and goes no further.', async () => {
    const cases: [what: string, rejection: Rejection][] = [
      ['captureRejections, a listener rejects', { capture: true, heard: true }],
      ['captureRejections, a once listener rejects', { capture: true, heard: true, once: true }],
      [
        'captureRejections, a listener gives back a thenable that rejects',
        { capture: true, heard: true, thenable: 'later' },
      ],
      [
        'captureRejections, a listener gives back a thenable that rejects at once',
        { capture: true, heard: true, thenable: 'at once' },
      ],
      [
        'captureRejections, a listener rejects, and so does the error listener',
        { capture: true, heard: true, stubborn: true },
      ],
      ['captureRejections, a listener rejects, and nobody listens for errors', { capture: true, heard: false }],
      ['no captureRejections, a listener rejects', { capture: false, heard: true }],
    ];
    const rejections = cases.map(([, rejection]) => rejection);
    const theirs = await playRejections({ EventEmitter }, rejections);

    const seen = await (await kataProcess()).evaluate(playRejections, rejections);

    for (const [index, [what]] of cases.entries()) expect(seen[index], `${what}; what happened`).toEqual(theirs[index]);
  });
});

/** Listeners that do nothing, and what is done with the emitter. */
function alone(...steps: Step[]): History {
  return history([[], [], []], ...steps);
}

function history(listeners: Step[][], ...steps: Step[]): History {
  return { listeners, steps };
}

// Most of it is about one event: only where many listeners meet do they get into each other's way.
const rare = fc.constantFrom('b', 'error', 'newListener', 'removeListener', '__proto__', '@s');
const event = fc.oneof({ weight: 4, arbitrary: fc.constant('a') }, { weight: 1, arbitrary: rare });
const listener = fc.constantFrom(f, g, h);
const adding = fc.tuple(fc.constantFrom('on', 'once'), event, listener);
const takingAway = fc.tuple(fc.constant('off'), event, listener);
const emitting = fc.tuple(fc.constant('emit'), event, fc.constantFrom('E1', 1, 2));
const asking = fc.tuple(fc.constantFrom('count', 'who'), event);
const doing: fc.Arbitrary<Step> = fc.oneof(adding, takingAway, emitting);
const drawHistory: fc.Arbitrary<History> = fc
  .record({
    listeners: fc.array(fc.array(fc.oneof(doing, doing, doing, fc.constant<Step>(['throw'])), { maxLength: 2 }), {
      minLength: 3,
      maxLength: 3,
    }),
    first: fc.array(adding, { minLength: 2, maxLength: 5 }),
    later: fc.array(fc.oneof(doing, emitting, asking), { minLength: 1, maxLength: 6 }),
  })
  // Warnings have a promise of their own.
  .map(({ listeners, first, later }) => ({ listeners, steps: [['limit', 0], ...first, ...later], heeds: 'both' }));

const loopStep: fc.Arbitrary<LoopStep> = fc.oneof(
  fc.tuple(fc.constant('emit'), fc.integer({ min: 1, max: 9 })),
  fc.constant(['next']),
);
const drawLoop: fc.Arbitrary<LoopHistory> = fc
  .tuple(
    fc.array(fc.array(loopStep, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 5 }),
    fc.constantFrom<LoopHistory>([], [[['error']]], [[['abort']]]),
    fc.array(fc.constant<LoopStep>(['next']), { maxLength: 6 }),
  )
  .map(([before, end, after]) => [...before, ...end, after]);

/** The module's process. */
const { running: kataProcess } = useSubject<typeof Kata>('event-emitter');

async function expectAsNode(histories: readonly History[]): Promise<void> {
  const differences = await otherwiseThanNode(histories);
  for (const [index, difference] of differences.entries())
    expectThat(difference === undefined, [listenersInWords(histories[index]!), difference].filter(Boolean).join('\n'));
}

/** For each history, how it went otherwise than with Node's class; undefined where it did not. */
async function otherwiseThanNode(histories: readonly History[]): Promise<(string | undefined)[]> {
  const yours = await (await kataProcess()).evaluate(play, histories);
  return play({ EventEmitter }, histories).map((theirs, index) => contrast(theirs, yours[index], titles));
}

async function playedLoops(lives: readonly LoopHistory[]) {
  const load = async <Module>(name: string) => (await import(name)) as Module;
  const yours = await (await kataProcess()).evaluate(playLoops, lives);
  const theirs = await playLoops({ EventEmitter, on }, lives, {}, { load });
  return theirs.map((one, index) => ({ theirs: one, yours: yours[index]! }));
}
