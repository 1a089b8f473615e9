import fc from 'fast-check';
import { stat } from 'node:fs';
import type { Program, Statement } from '../../katas/event-loop-order/event-loop-order.ts';

/**
 * Executes each program in an I/O callback of this very Node, and returns the order of its logs. A program logs each name
 * once.
 */
export async function execute(programs: readonly Program[]): Promise<string[][]> {
  return await Promise.all(
    programs.map(
      (program) =>
        new Promise<string[]>((resolve) => {
          const order: string[] = [];
          const count = namesOf(program).length;
          const log = (name: string) => {
            if (order.push(name) === count) resolve(order);
          };
          stat('.', () => perform(program, log));
        }),
    ),
  );
}

function perform(program: Program, log: (name: string) => void): void {
  const body = (inner: Program) => () => perform(inner, log);
  for (const statement of program) {
    if ('log' in statement) log(statement.log);
    else if ('nextTick' in statement) process.nextTick(body(statement.nextTick));
    else if ('microtask' in statement) queueMicrotask(body(statement.microtask));
    else if ('immediate' in statement) setImmediate(body(statement.immediate));
    else if ('timer' in statement) setTimeout(body(statement.timer), 0);
    else
      void (async () => {
        perform(statement.async, log);
        // oxlint-disable-next-line typescript/await-thenable unicorn/no-unnecessary-await -- this is the statement that programs have
        await null;
        perform(statement.after, log);
      })();
  }
}

/** Where a program may set immediates and timers without making its order a matter of luck. */
interface Freedom {
  readonly immediates: 'no' | 'outside immediates' | 'anywhere';
  readonly timers: boolean;
}

/** Programs of nextTicks, microtasks and async functions only. */
export const drawSmall = drawn({ immediates: 'no', timers: false });

/**
 * Programs with immediates and timers whose order Node guarantees. It does not where an immediate was set in a timer, or a timer
 * competes with an immediate that was set in an immediate.
 */
export const drawLarge = fc.oneof(
  drawn({ immediates: 'outside immediates', timers: true }),
  drawn({ immediates: 'anywhere', timers: false }),
);

function drawn(freedom: Freedom): fc.Arbitrary<Program> {
  return drawProgram(freedom, 3, 1).map(named);
}

function drawProgram(freedom: Freedom, depth: number, minLength = 0): fc.Arbitrary<Program> {
  if (depth === 0) return fc.constant([{ log: '' }]);
  const inner = drawProgram(freedom, depth - 1);
  const inImmediate: Freedom = freedom.immediates === 'anywhere' ? freedom : { ...freedom, immediates: 'no' };
  const kinds: fc.Arbitrary<Statement>[] = [
    fc.constant({ log: '' }),
    fc.record({ nextTick: inner }),
    fc.record({ microtask: inner }),
    fc.record({ async: inner, after: inner }),
  ];
  if (freedom.immediates !== 'no') kinds.push(fc.record({ immediate: drawProgram(inImmediate, depth - 1) }));
  if (freedom.timers) kinds.push(fc.record({ timer: drawProgram({ ...freedom, immediates: 'no' }, depth - 1) }));
  return fc.array(fc.oneof(...kinds), { minLength, maxLength: 4 });
}

/** Adds a log at the start and the end of each body; the names are a, 98, an empty text, 96, e, … in the order of the text. */
function named(program: Program): Program {
  let count = 0;
  return name(program);

  function name(body: Program): Program {
    const statements = body.filter((statement) => !('log' in statement));
    return statements.length === 0 ? [next()] : [next(), ...statements.map(inner), next()];
  }

  function inner(statement: Statement): Statement {
    if ('nextTick' in statement) return { nextTick: name(statement.nextTick) };
    if ('microtask' in statement) return { microtask: name(statement.microtask) };
    if ('immediate' in statement) return { immediate: name(statement.immediate) };
    if ('timer' in statement) return { timer: name(statement.timer) };
    if ('async' in statement) return { async: name(statement.async), after: name(statement.after) };
    return statement;
  }

  function next(): Statement {
    const index = count++;
    if (index === 2) return { log: '' };
    if (index % 2 === 1) return { log: String(99 - index) };
    return { log: (index < 26 ? '' : letter(Math.floor(index / 26) - 1)) + letter(index % 26) };
  }

  function letter(index: number): string {
    return String.fromCodePoint(97 + (index % 26));
  }
}

function namesOf(program: Program): string[] {
  return program.flatMap((statement) =>
    Object.values(statement).flatMap((own) => (typeof own === 'string' ? own : namesOf(own))),
  );
}

/** A program as JavaScript. */
export function sourceOf(program: Program): string {
  return program
    .map((statement) => {
      if ('log' in statement) return `log('${statement.log}');`;
      if ('nextTick' in statement) return `process.nextTick(() => { ${sourceOf(statement.nextTick)} });`;
      if ('microtask' in statement) return `queueMicrotask(() => { ${sourceOf(statement.microtask)} });`;
      if ('immediate' in statement) return `setImmediate(() => { ${sourceOf(statement.immediate)} });`;
      if ('timer' in statement) return `setTimeout(() => { ${sourceOf(statement.timer)} }, 0);`;
      return `(async () => { ${sourceOf(statement.async)} await null; ${sourceOf(statement.after)} })();`;
    })
    .join(' ');
}
