/**
 * One call, or something that a listener does. `on`, `once` and `off` name one of the listeners f, g, h by its number. `E1` stands for
 * an error, and `@s` for a symbol, both as an event and as an argument. `spoil` empties the array that `listeners` returned.
 */
export type Step = Call | readonly ['throw'];
type Call =
  | readonly ['on' | 'once' | 'off', event: string, listener: number]
  | readonly ['emit', event: string, ...args: Argument[]]
  | readonly ['count' | 'who', event: string]
  | readonly ['spoil', event: string];
type Argument = string | number;

/** The calls made on one emitter, and what its listeners do whenever they are called. */
export interface History {
  readonly listeners: readonly (readonly Step[])[];
  readonly steps: readonly Step[];
  /** What is recorded beside the calls: what `this` is in a listener, what the calls return, or both. */
  readonly records?: 'this' | 'answers' | 'both';
}

type Listener = (this: unknown, ...args: unknown[]) => unknown;

/** As much of an emitter as a history needs. */
interface Emitter {
  on(event: string | symbol, listener: Listener): unknown;
  once(event: string | symbol, listener: Listener): unknown;
  off(event: string | symbol, listener: Listener): unknown;
  emit(event: string | symbol, ...args: unknown[]): unknown;
  listenerCount(event: string | symbol): unknown;
  listeners(event: string | symbol): unknown;
}

interface EmitterModule {
  readonly EventEmitter: new (options?: { captureRejections?: boolean }) => Emitter;
}

/** Plays each history on a new emitter and returns, line by line, what happened. */
export function play({ EventEmitter }: EmitterModule, histories: readonly History[]): string[][] {
  return histories.map(playOne);

  function playOne({ listeners, steps, records }: History): string[] {
    /** A history may never end by itself, so listeners do nothing after this many calls. */
    let calls = 40;
    let depth = 0;
    const lines: string[] = [];
    const symbol = Symbol('s');
    const errors = ['E1', 'E2'].map((text) => Object.assign(new Error(text), { name: text }));
    const emitter = new EventEmitter();

    const functions = listeners.map((own, number) => {
      return function (this: unknown, ...args: unknown[]) {
        if (calls-- <= 0) return;
        const recordsThis = records === 'this' || records === 'both';
        const self = this === emitter || !recordsThis ? '' : ', this is not the emitter';
        depth++;
        try {
          tell(`${named(number)}(${args.map(inWords).join(', ')})${self}`);
          if (depth < 10) perform(own);
        } finally {
          depth--;
        }
      };
    });
    perform(steps);
    return lines;

    function perform(some: readonly Step[]) {
      depth++;
      try {
        for (const step of some) performOne(step);
      } finally {
        depth--;
      }
    }

    function performOne(step: Step) {
      const answered = step[0] === 'throw' ? fail() : attempt(step);
      if (answered !== undefined) tell(`→ ${answered}`);
    }

    function fail(): never {
      tell('throws E2');
      throw errors[1];
    }

    function attempt(step: Call): string | undefined {
      try {
        return call(step);
      } catch (error) {
        return `throws ${inWords(error)}`;
      }
    }

    function call(step: Call): string | undefined {
      switch (step[0]) {
        case 'on':
        case 'once':
        case 'off': {
          const [method, event, number] = step;
          tell(`${method}(${inWords(name(event))}, ${named(number)})`);
          const listener = functions[number] ?? ('no function' as unknown as Listener);
          return chained(emitter[method](name(event), listener));
        }
        case 'emit': {
          const [, event, ...args] = step;
          tell(`emit(${[name(event), ...args.map(value)].map(inWords).join(', ')})`);
          return answer(emitter.emit(name(event), ...args.map(value)));
        }
        case 'count':
          tell(`listenerCount(${inWords(name(step[1]))})`);
          return inWords(emitter.listenerCount(name(step[1])));
        case 'who':
          tell(`listeners(${inWords(name(step[1]))})`);
          return inWords(emitter.listeners(name(step[1])));
        case 'spoil':
          tell(`listeners(${inWords(name(step[1]))}).length = 0`);
          (emitter.listeners(name(step[1])) as unknown[]).length = 0;
          return undefined;
      }
    }

    function chained(one: unknown): string | undefined {
      return one === emitter ? undefined : answer(one);
    }

    function answer(one: unknown): string | undefined {
      return records === 'answers' || records === 'both' ? inWords(one) : undefined;
    }

    function tell(line: string) {
      lines.push('  '.repeat(depth - 1) + line);
    }

    function name(event: string): string | symbol {
      return event === '@s' ? symbol : event;
    }

    function value(argument: Argument): unknown {
      return argument === '@s' ? symbol : (errors.find((error) => error.name === argument) ?? argument);
    }

    function named(number: number): string {
      return number < functions.length ? 'fghk'[number]! : 'no function';
    }

    /** Values from the module are untrusted: none of their methods is called, and the text is short. */
    function inWords(one: unknown): string {
      if (typeof one === 'string') return `'${one.slice(0, 40)}'`;
      if (Array.isArray(one)) return `[${one.slice(0, 12).map(inWords).join(', ')}]`;
      if (typeof one === 'function') {
        const known = functions.findIndex((listener) => one === listener);
        // Sometimes Node passes the wrapper of a once listener.
        const inner = functions.findIndex((listener) => (one as { listener?: unknown }).listener === listener);
        if (known >= 0) return named(known);
        return inner >= 0 ? named(inner) : 'another function';
      }
      if (errors.includes(one as Error & { name: string })) return (one as Error).name;
      if (one instanceof TypeError) return 'a TypeError';
      if (one instanceof Error && 'context' in one) return `an Error with the context ${inWords(one.context)}`;
      if (one instanceof Error) return `another error, ${one.message.slice(0, 80)}`;
      if (typeof one === 'object' && one !== null) return one === emitter ? 'the emitter' : 'an object';
      return String(one);
    }
  }
}

/** What the listeners of a history do, in words; empty when they do nothing. */
export function listenersInWords({ listeners }: History): string {
  const doing = listeners.flatMap((steps, number) =>
    steps.length === 0 ? [] : [`${'fghk'[number]} does ${steps.map(stepInWords).join(', ')}`],
  );
  return doing.join('; ');
}

function stepInWords([kind, ...rest]: Step): string {
  if (kind === 'throw') return 'throw E2';
  const isAboutListener = kind === 'on' || kind === 'once' || kind === 'off';
  const words = rest.map((one, index) =>
    isAboutListener && index === 1
      ? ('fghk'[Number(one)] ?? 'no function')
      : typeof one === 'string' && !/^(?:@s|E\d)$/.test(one)
        ? `'${one}'`
        : String(one).replace('@s', 'Symbol(s)'),
  );
  const method = { count: 'listenerCount', who: 'listeners', spoil: 'spoil' }[kind as string];
  return `${method ?? kind}(${words.join(', ')})`;
}
