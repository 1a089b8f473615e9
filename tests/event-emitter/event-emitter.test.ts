import { EventEmitter as NodesEmitter, on } from 'node:events';
import fc from 'fast-check';
import { describe } from 'vitest';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { expectForDrawn } from '../../helpers/judging/drawn/drawn.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { contrast } from '../../helpers/judging/verdict/contrast.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/event-emitter/event-emitter.ts';
import { endAllLoops, playHistories, playIterators, rejectInListeners, whoseWork } from './inside.ts';
import { type History, type Step, listenersInWords, play } from './play-history.ts';
import { type LoopHistory, type LoopStep, playLoops } from './play-loops.ts';
import { type Rejection, playRejections } from './play-rejections.ts';

const titles = ['Node’s class', 'yours'] as const;
/** The numbers of the listeners in a history. */
const [f, g, h] = [0, 1, 2];
/** A number that no listener has: the judge passes a value that is not a function. */
const noFunction = 9;

const test = judge<typeof Kata>('event-emitter');

describe('core', () => {
  test('emit must call every listener once, in the order of adding, with the arguments and the emitter as this.', async ({
    subject,
  }) => {
    const histories = [
      alone(['on', 'a', f], ['on', 'a', g], ['on', 'b', h], ['emit', 'a', 1, 'two', 3], ['emit', 'b']),
      alone(['on', 'a', g], ['on', 'a', f], ['once', 'a', h], ['emit', 'a'], ['emit', 'a', 1, 2, 3, 4, 5, 6]),
    ];
    await expectAsNode(
      subject,
      histories.map((one) => ({ ...one, records: 'this' })),
    );
  });

  test('A once listener must be called for one event only.', async ({ subject }) => {
    await expectAsNode(subject, [
      alone(['once', 'a', f], ['emit', 'a', 1], ['emit', 'a', 2]),
      alone(['once', 'a', f], ['once', 'a', g], ['on', 'a', h], ['emit', 'a', 1], ['emit', 'a', 2]),
      alone(['on', 'a', f], ['once', 'a', g], ['once', 'b', g], ['emit', 'a'], ['emit', 'b'], ['emit', 'a']),
    ]);
  });

  test('off must remove one entry of the given listener: the last one added, by on or by once.', async ({
    subject,
  }) => {
    await expectAsNode(subject, [
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
      // Added by once.
      alone(['once', 'a', f], ['off', 'a', f], ['emit', 'a']),
      alone(['once', 'a', f], ['on', 'a', g], ['once', 'a', h], ['off', 'a', f], ['off', 'a', h], ['emit', 'a']),
      // Added twice.
      alone(['on', 'a', f], ['on', 'a', g], ['on', 'a', f], ['emit', 'a'], ['off', 'a', f], ['emit', 'a']),
      alone(['on', 'a', f], ['on', 'a', f], ['off', 'a', f], ['off', 'a', f], ['emit', 'a']),
      alone(['on', 'a', f], ['on', 'a', g], ['once', 'a', f], ['off', 'a', f], ['emit', 'a', 1], ['emit', 'a', 2]),
      alone(['once', 'a', f], ['on', 'a', g], ['on', 'a', f], ['emit', 'a', 1], ['emit', 'a', 2]),
    ]);
  });

  test('emit, listenerCount and listeners must answer truthfully; on, once and off must return the emitter.', async ({
    subject,
  }) => {
    const asks: Step[] = [
      ['count', 'a'],
      ['who', 'a'],
      ['emit', 'a'],
    ];
    const histories = [
      alone(...asks, ['on', 'a', f], ...asks, ['off', 'a', f], ...asks),
      alone(['once', 'a', g], ['on', 'a', f], ...asks, ...asks),
      alone(['on', 'a', f], ['on', 'a', g], ['spoil', 'a'], ...asks),
      alone(['on', 'a', noFunction], ['once', 'a', noFunction], ...asks),
    ];
    await expectAsNode(
      subject,
      histories.map((one) => ({ ...one, records: 'answers' })),
    );
  });

  test('The class must be your own: no emitter of Node’s may do its work.', async ({ subject }) => {
    const { works, nodes } = await subject.run(whoseWork);

    expectThat(
      works,
      'one listener was added and its event emitted; expected the listener to be called, but it was not',
    );
    expectThat(
      nodes.length === 0,
      `one emitter and one iterator were used; expected only code of your own, saw that ${nodes.join('; ')}`,
    );
  });
});

describe('robust', () => {
  test('A change of listeners during an emit must count from the next emit; once listeners must never run twice.', async ({
    subject,
  }) => {
    const twice: Step[] = [
      ['emit', 'a', 1],
      ['emit', 'a', 2],
    ];
    await expectAsNode(subject, [
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
      history([[['emit', 'a', 2]], []], ['once', 'a', f], ['on', 'a', g], ['emit', 'a', 1]),
      history([[['emit', 'a', 2]]], ['once', 'a', f], ['emit', 'a', 1], ['emit', 'a', 3]),
      // The first of them emits it once more, before the second has had its turn.
      history([[['emit', 'a', 2]], []], ['once', 'a', f], ['once', 'a', g], ['emit', 'a', 1], ['count', 'a']),
    ]);
  });

  test('An error event that nobody listens for must be thrown, and so must what a listener throws.', async ({
    subject,
  }) => {
    await expectAsNode(subject, [
      alone(['emit', 'error', 'E1']),
      alone(['emit', 'error', 7], ['emit', 'error', 'a text'], ['emit', 'error', '@s']),
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

  test('newListener must come before a listener is added, and removeListener after one was removed.', async ({
    subject,
  }) => {
    const heard: Step[] = [
      ['on', 'newListener', f],
      ['on', 'removeListener', f],
    ];
    const asks: Step[] = [['count', 'a']];
    await expectAsNode(subject, [
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

  test('Any history of calls, with any string or symbol as the event’s name, must go as with Node’s class.', async ({
    subject,
  }) => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', '', '@s'];
    await expectAsNode(subject, [
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
    await expectForDrawn({
      examples: drawHistory,
      count: 600,
      ask: (histories) => differencesFromNode(subject, histories),
      fault: (difference) => difference && `both classes were used alike\n${difference}\n`,
      inWords: (drawn) => ['a history', listenersInWords(drawn)].filter(Boolean).join(' in which '),
    });
  });
});

describe('stretch', () => {
  test('on() must hand over every event in order, including those not yet asked for, and then the error.', async ({
    subject,
  }) => {
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
      [[['next'], ['next']], [['return']]],
      [[['emit', 1], ['next'], ['next'], ['next']], [['return']]],
    ];
    const ask = async (some: readonly LoopHistory[]) =>
      (await playOnBoth(subject, some)).map(({ nodes, yours }) => contrast(nodes.lines, yours.lines, titles));

    for (const difference of await ask(lives))
      expectThat(difference === undefined, `an iterator of on() was used like this\n${difference}`);
    await expectForDrawn({
      examples: drawLoop,
      count: 100,
      ask,
      fault: (difference) => difference && `it was used like this\n${difference}\n`,
      inWords: () => 'an iterator of on()',
    });
  });

  test('When a loop over on() ends by break, error or abort, no listener must remain.', async ({ subject }) => {
    const ends = ['normally', 'by BodyError', 'by AbortError', 'by E1', 'by AbortError'];
    const loops = await subject.run(endAllLoops);
    const iterators: LoopHistory[] = [
      [[['emit', 1]], [['return']]],
      [[['next'], ['next']], [['abort']]],
      [[['emit', 1]], [['abort']]],
      [[['next']], [['error']]],
      [[['emit', 1], ['error']]],
    ];

    for (const [index, { how, end, left }] of loops.entries()) {
      expectThat(end === ends[index], `${how}: expected it to end ${ends[index]}, saw: ${end}`);
      expectThat(left === 0, `${how}: expected no listener left on emitter and signal, saw ${left}`);
    }
    for (const [index, { yours }] of (await playOnBoth(subject, iterators)).entries()) {
      const calls = iterators[index]!.flat().map(([kind]) => kind);
      expectThat(
        yours.left === 0,
        `an iterator, then ${calls.join(', ')}: expected no listener left on emitter and signal, saw ${yours.left}`,
      );
    }
  });

  test('With captureRejections, a listener’s rejection must become an error event, and so must later ones.', async ({
    subject,
  }) => {
    const cases: [what: string, rejection: Rejection][] = [
      ['captureRejections, a listener rejects', { capture: true, heard: 'always' }],
      ['captureRejections, a once listener rejects', { capture: true, heard: 'always', once: true }],
      [
        'captureRejections, a listener returns a thenable that rejects',
        { capture: true, heard: 'always', thenable: 'later' },
      ],
      [
        'captureRejections, a listener returns a thenable that rejects at once',
        { capture: true, heard: 'always', thenable: 'at once' },
      ],
      [
        'captureRejections, a listener returns a function with then that rejects',
        { capture: true, heard: 'always', thenable: 'a function' },
      ],
      ['captureRejections, two listeners reject, twice', { capture: true, heard: 'always', twoReject: true }],
      [
        'captureRejections, a listener rejects, and so does the error listener',
        { capture: true, heard: 'always', errorListener: 'rejects' },
      ],
      [
        'captureRejections, the error listener rejects when the code emits an error',
        { capture: true, heard: 'always', event: 'error', errorListener: 'rejects' },
      ],
      [
        'captureRejections, a listener rejects, and the error listener emits b, whose listener rejects',
        { capture: true, heard: 'always', errorListener: 'emits b' },
      ],
      ['captureRejections, a listener rejects, and nobody listens for errors', { capture: true, heard: 'never' }],
      ['captureRejections, a listener rejects twice, first with nobody listening', { capture: true, heard: 'later' }],
      ['no captureRejections, a listener rejects', { capture: false, heard: 'always' }],
    ];
    const rejections = cases.map(([, rejection]) => rejection);
    const inNode = await playRejections({ EventEmitter: NodesEmitter }, rejections);

    const seen = await subject.run(rejectInListeners, rejections);

    for (const [index, [what]] of cases.entries()) {
      const difference = contrast(inNode[index]!, seen[index], titles);
      expectThat(difference === undefined, `${what}\n${difference}`);
    }
  });
});

/** Calls on an emitter whose listeners do nothing. */
function alone(...steps: Step[]): History {
  return history([[], [], []], ...steps);
}

function history(listeners: Step[][], ...steps: Step[]): History {
  return { listeners, steps };
}

// Mostly one event: listeners get into each other's way only where many of them meet.
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
  .map(({ listeners, first, later }) => ({ listeners, steps: [...first, ...later], records: 'both' }));

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

/** Node's class without its warning about many listeners. */
class UnlimitedNodesEmitter extends NodesEmitter {
  constructor() {
    super();
    this.setMaxListeners(0);
  }
}

async function expectAsNode(subject: Subject<typeof Kata>, histories: readonly History[]): Promise<void> {
  for (const [index, difference] of (await differencesFromNode(subject, histories)).entries()) {
    const listeners = listenersInWords(histories[index]!);
    const did = `the same calls on Node’s class and on yours${listeners && `, where ${listeners}`}`;
    expectThat(difference === undefined, `${did}\n${difference}`);
  }
}

/** For each history, a table of what differed from Node's class; undefined where nothing did. */
async function differencesFromNode(
  subject: Subject<typeof Kata>,
  histories: readonly History[],
): Promise<(string | undefined)[]> {
  const yours = await subject.run(playHistories, histories);
  const nodes = play({ EventEmitter: UnlimitedNodesEmitter }, histories);
  return nodes.map((lines, index) => contrast(lines, yours[index], titles));
}

async function playOnBoth(subject: Subject<typeof Kata>, lives: readonly LoopHistory[]) {
  const yours = await subject.run(playIterators, lives);
  const nodes = await playLoops({ EventEmitter: NodesEmitter, on }, lives);
  return nodes.map((one, index) => ({ nodes: one, yours: yours[index]! }));
}
