import { EventEmitter, getEventListeners } from 'node:events';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import type * as Kata from '../../katas/leaky-listeners/leaky-listeners.ts';

/** What happens to one dashboard. Widgets and signals go by their names. */
export type Step =
  | readonly ['add', widget: string, topic: string, samples: readonly number[], onChange?: Act, signal?: string]
  | readonly ['emit', topic: string, value: number]
  | readonly ['dispose', widget: string]
  | readonly ['abort', signal: string]
  | readonly ['dispose all'];

/** What `onChange` does. */
export type Act =
  | { readonly disposes: readonly string[] }
  | { readonly throws: 'an Error' | 'undefined' | 'a text'; readonly disposesItself?: boolean }
  | 'disposes of the dashboard'
  | 'nothing more';

/** What was wrong, and of which kind. */
export interface Fault {
  readonly kind: 'heard' | 'heard late' | 'bus' | 'foreign' | 'size' | 'error' | 'signal' | 'summary';
  readonly text: string;
}

interface Known {
  readonly topic: string;
  readonly signal: string | undefined;
  readonly widget: Kata.Widget;
  isLive: boolean;
  count: number;
  sum: number;
  /** How often it heard the value of this emit. */
  heard: number;
  /** What its summary was when it had been disposed of during an emit that it had not heard. */
  last?: Kata.Summary | undefined;
}

/** A dashboard, and what should be true of it. */
class Stage {
  readonly faults: Fault[] = [];
  readonly #bus = new EventEmitter();
  readonly #dashboard: Kata.Dashboard;
  readonly #widgets = new Map<string, Known>();
  readonly #signals = new Map<string, AbortController>();
  readonly #foreign = new Map<string, number>();
  readonly #errors: unknown[] = [];
  readonly #thrown: unknown[] = [];
  #value = 0;
  #isEmitting = false;
  #isOver = false;

  constructor({ createDashboard }: typeof Kata, topics: readonly string[]) {
    this.#bus.setMaxListeners(0);
    for (const topic of topics)
      this.#bus.on(topic, () => this.#foreign.set(topic, (this.#foreign.get(topic) ?? 0) + 1));
    this.#topics = topics;
    this.#dashboard = createDashboard(this.#bus, { onError: (error) => void this.#errors.push(error) });
  }
  readonly #topics: readonly string[];

  take(step: Step): void {
    switch (step[0]) {
      case 'add':
        this.#add(step);
        break;
      case 'emit':
        this.#emit(step[1], step[2]);
        break;
      case 'dispose':
        this.#dispose(step[1]);
        break;
      case 'abort':
        // A reason may be anything.
        this.#signal(step[1]).abort(step[1] === 't' ? null : new Error(`the reason of ${step[1]}`));
        for (const known of this.#widgets.values()) if (known.signal === step[1]) known.isLive = false;
        break;
      case 'dispose all':
        this.#disposeAll();
        break;
    }
    this.#look();
  }

  #add([, name, topic, first, act = 'nothing more', signalName]: Extract<Step, readonly ['add', ...unknown[]]>): void {
    const signal = signalName === undefined ? undefined : this.#signal(signalName).signal;
    const expected = this.#isOver ? 'an Error' : signal?.aborted ? signal.reason : undefined;
    const start = { count: first.length, sum: first.reduce((sum, value) => sum + value, 0), heard: 0 };
    try {
      const options = {
        topic,
        samples: [...first],
        onChange: (summary: Kata.Summary) => this.#hear(name, summary, act),
      };
      const widget = this.#dashboard.addWidget({ ...options, ...(signal && { signal }) });
      this.#widgets.set(name, { topic, widget, isLive: true, signal: signalName, ...start });
      if (expected !== undefined) this.#fault(this.#isOver ? 'size' : 'signal', `addWidget ${name} did not throw`);
    } catch (error) {
      if (expected === undefined) this.#fault('heard', `addWidget ${name} threw ${inWords(error)}`);
      else if (expected === 'an Error' ? !(error instanceof Error) : error !== expected)
        this.#fault('signal', `addWidget ${name} threw ${inWords(error)} instead of the signal's reason`);
    }
  }

  #hear(name: string, { count, sum }: Kata.Summary, act: Act): void {
    const known = this.#widgets.get(name);
    if (!known) return this.#fault('heard', `${name} heard a value before it was added`);
    if (!known.isLive) return this.#fault('heard late', `${name} heard ${this.#value} after it was disposed of`);
    known.heard += 1;
    known.count += 1;
    known.sum += this.#value;
    if (count !== known.count || sum !== known.sum)
      this.#fault('heard', `${name} got count ${count}, sum ${sum}; expected ${known.count}, ${known.sum}`);
    if (act === 'nothing more') return;
    if (act === 'disposes of the dashboard') this.#disposeAll();
    else if ('disposes' in act) for (const other of act.disposes) this.#dispose(other);
    else {
      if (act.disposesItself) this.#dispose(name);
      const error = act.throws === 'an Error' ? new Error(`of ${name}`) : act.throws === 'a text' ? name : undefined;
      this.#thrown.push(error);
      throw error;
    }
  }

  #disposeAll(): void {
    this.#dashboard.dispose();
    this.#isOver = true;
    for (const known of this.#widgets.values()) known.isLive = false;
  }

  #dispose(name: string): void {
    const known = this.#widgets.get(name);
    if (!known) return;
    known.widget.dispose();
    known.isLive = false;
    if (this.#isEmitting && known.heard === 0) known.last ??= { ...known.widget.summary() };
  }

  #emit(topic: string, value: number): void {
    this.#value = value;
    this.#isEmitting = true;
    const before = [...this.#widgets].filter(([, known]) => known.isLive && known.topic === topic);
    for (const [, known] of this.#widgets) known.heard = 0;
    this.#errors.length = this.#thrown.length = 0;
    const foreignBefore = this.#foreign.get(topic) ?? 0;
    try {
      this.#bus.emit(topic, value);
    } catch (error) {
      this.#fault('error', `emit threw ${inWords(error)}`);
    }
    this.#isEmitting = false;
    for (const [name, { widget, last }] of this.#widgets)
      if (last && widget.summary().count !== last.count)
        this.#fault('heard late', `${name} was disposed of during an emit, and its summary counts ${value} afterwards`);
    for (const known of this.#widgets.values()) known.last = undefined;
    for (const [name, { isLive, heard }] of before)
      if (heard > 1 || (heard === 0 && isLive)) this.#fault('heard', `${name} heard ${value} ${heard} times`);
    for (const [name, known] of this.#widgets)
      if (known.topic !== topic && known.heard > 0) this.#fault('heard', `${name} heard a value of ${topic}`);
    const foreign = (this.#foreign.get(topic) ?? 0) - foreignBefore;
    if (foreign !== (this.#topics.includes(topic) ? 1 : 0))
      this.#fault('foreign', `a listener of another part heard ${value} ${foreign} times`);
    if (this.#errors.length !== this.#thrown.length || this.#thrown.some((error) => !this.#errors.includes(error)))
      this.#fault(
        'error',
        `onChange threw ${this.#thrown.map(inWords).join(', ') || 'nothing'}; onError got ${this.#errors.map(inWords).join(', ') || 'nothing'}`,
      );
  }

  /** What must be true at rest. */
  #look(): void {
    const live = [...this.#widgets.values()].filter(({ isLive }) => isLive);
    if (this.#dashboard.size !== live.length)
      this.#fault('size', `size is ${this.#dashboard.size}; ${live.length} widgets live`);
    const { eventNames, listenerCount } = EventEmitter.prototype;
    for (const topic of eventNames.call(this.#bus) as string[]) {
      const own = listenerCount.call(this.#bus, topic) - (this.#topics.includes(topic) ? 1 : 0);
      const lives = live.filter((known) => known.topic === topic).length;
      if (own > lives) this.#fault('bus', `${lives} widgets of ${topic} live; ${own} listeners are on the bus`);
    }
    for (const [name, { signal }] of this.#signals) {
      const lives = live.filter((known) => known.signal === name).length;
      const own = getEventListeners(signal, 'abort').length;
      if (own > lives) this.#fault('signal', `${lives} widgets of signal ${name} live; ${own} listeners are on it`);
    }
    for (const [name, { widget, count, sum }] of this.#widgets) {
      const summary = widget.summary();
      if (summary.count !== count || summary.sum !== sum)
        this.#fault(
          'summary',
          `summary of ${name}: count ${summary.count}, sum ${summary.sum}; expected ${count}, ${sum}`,
        );
    }
  }

  #signal(name: string): AbortController {
    const controller = this.#signals.get(name) ?? new AbortController();
    this.#signals.set(name, controller);
    return controller;
  }

  #fault(kind: Fault['kind'], text: string): void {
    this.faults.push({ kind, text });
  }
}

/** Plays each history on a dashboard of its own, with foreign listeners on the topics. Returns the faults of each step. */
export function playAll({
  kata,
  args: { plays, foreignTopics },
}: Inside<typeof Kata, { plays: readonly (readonly Step[])[]; foreignTopics: readonly string[] }>): Fault[][] {
  return plays.map((steps) => {
    const stage = new Stage(kata, foreignTopics);
    for (const [at, step] of steps.entries()) {
      const before = stage.faults.length;
      try {
        stage.take(step);
      } catch (error) {
        return [...stage.faults, { kind: 'heard', text: `step ${at + 1} threw ${inWords(error)}` }];
      }
      if (stage.faults.length > before + 20) break;
    }
    return stage.faults;
  });
}

/** Two widgets have one onChange, and the first is disposed of again, while a third stays. Returns what onChange got, and the sizes. */
export function disposeAgain({ kata, args: value }: Inside<typeof Kata, number>) {
  const bus = new EventEmitter();
  const dashboard = kata.createDashboard(bus, { onError: () => undefined });
  const got: Kata.Summary[] = [];
  const onChange = (summary: Kata.Summary) => void got.push({ ...summary });
  dashboard.addWidget({ topic: 't', samples: [], onChange: () => undefined });
  const first = dashboard.addWidget({ topic: 't', samples: [1, 2, 3], onChange });
  first.dispose();
  const second = dashboard.addWidget({ topic: 't', samples: [value], onChange });
  first.dispose();
  first[Symbol.dispose]();
  bus.emit('t', value);
  const sizes = [dashboard.size];
  second.dispose();
  second.dispose();
  bus.emit('t', value);
  sizes.push(dashboard.size);
  dashboard.dispose();
  dashboard.dispose();
  return { got, sizes: [...sizes, dashboard.size] };
}

/** Leaves blocks with `using`, also by an error. Returns what was heard in and after each. */
export function leaveBlocks({ kata, args: value }: Inside<typeof Kata, number>) {
  const heard: string[] = [];
  const emit = (bus: EventEmitter, when: string) => {
    bus.emit('t', value);
    heard.push(when);
  };
  for (const isThrown of [false, true]) {
    const bus = new EventEmitter();
    const open = () => kata.createDashboard(bus, { onError: () => undefined });
    const dashboard = open();
    const options = (name: string) => ({ topic: 't', samples: [], onChange: () => void heard.push(name) });
    try {
      using _widget = dashboard.addWidget(options('widget'));
      emit(bus, 'in its block');
      if (isThrown) throw new Error('out');
    } catch {}
    emit(bus, `after the block${isThrown ? ' threw' : ''}, size ${dashboard.size}`);
    try {
      using other = open();
      other.addWidget(options('widget of a dashboard'));
      emit(bus, 'in its block');
      if (isThrown) throw new Error('out');
    } catch {}
    emit(bus, `after the block${isThrown ? ' threw' : ''}, ${bus.listenerCount('t')} listeners`);
  }
  return heard;
}

interface Forgotten {
  readonly bus: EventEmitter;
  readonly dashboard: Kata.Dashboard;
  heard: number;
}

/** Adds widgets of one topic, and keeps the bus and the dashboard, but nothing that `addWidget` returned. */
export function forgetWidgets({
  kata,
  args: count,
  kept,
}: Inside<typeof Kata, number, { forgotten?: Forgotten }>): void {
  const bus = new EventEmitter();
  bus.setMaxListeners(0);
  const dashboard = kata.createDashboard(bus, { onError: () => undefined });
  const forgotten = { bus, dashboard, heard: 0 };
  kept.forgotten = forgotten;
  for (let at = 0; at < count; at++)
    dashboard.addWidget({ topic: 't', samples: [at], onChange: () => void (forgotten.heard += 1) });
}

/** How many of those widgets hear a value, and the size of their dashboard. */
export function tellForgotten({ args: value, kept }: Inside<typeof Kata, number, { forgotten?: Forgotten }>) {
  const { bus, dashboard } = kept.forgotten!;
  bus.emit('t', value);
  return { heard: kept.forgotten!.heard, size: dashboard.size };
}

class Samples extends Array<number> {}

/** All that outlives the widgets. memlab names holders from here. */
class Kept {
  readonly bus = new EventEmitter();
  readonly signals: AbortSignal[] = [];
  readonly dashboards = new Map<string, Kata.Dashboard>();
  readonly widgets: (Kata.Widget | Kata.Widget['summary'])[] = [];
}

const ways = ['dispose', 'Symbol.dispose', 'abort', 'the dashboard’s dispose'] as const;
/** A summary has to be right although the samples are gone. */
const samplesOf = (count: number, value: number) => new Samples(count).fill(value) as Samples;

/**
 * Disposes of widgets in each way, while others stay, and watches their samples and functions. Keeps the bus, the dashboards and the
 * signals, and if told the widgets and their summaries; the next call uses them again, so that memlab can tell where in them something
 * is held. Returns how many summaries are wrong, and how many of the others heard.
 */
export function letWidgetsGo({
  kata,
  args: { count, value, keepsWidgets },
  kept,
  tools,
}: Inside<typeof Kata, { count: number; value: number; keepsWidgets: boolean }, { held?: Kept }>) {
  const held = (kept.held ??= new Kept());
  held.bus.setMaxListeners(0);
  let heard = 0;
  let heardBefore = 0;
  let wrong = 0;
  for (const way of ways) {
    const open = () => kata.createDashboard(held.bus, { onError: () => undefined });
    const isReused = way !== 'the dashboard’s dispose';
    const dashboard = (isReused ? held.dashboards.get(way) : undefined) ?? open();
    const others = held.dashboards.get('of others') ?? open();
    held.dashboards.set(isReused ? way : `${way}, ${held.dashboards.size}`, dashboard).set('of others', others);
    const shared = new AbortController();
    held.signals.push(shared.signal);
    (isReused ? dashboard : others).addWidget({ topic: way, samples: [], onChange: () => void (heard += 1) });
    const controllers: AbortController[] = [];
    const widgets: Kata.Widget[] = [];
    for (let at = 0; at < count; at++) {
      const samples = samplesOf(100, value);
      const onChange = () => void (heardBefore += 1);
      const name = `${keepsWidgets ? 'kept' : 'forgotten'} widgets, ${way}`;
      tools.watch(`samples of ${name}`, samples);
      if (!keepsWidgets) tools.watch(`onChange of ${name}`, onChange);
      const controller = way === 'abort' ? new AbortController() : shared;
      controllers.push(controller);
      held.signals.push(controller.signal);
      widgets.push(dashboard.addWidget({ topic: way, samples, onChange, signal: controller.signal }));
    }
    held.bus.emit(way, value);
    if (way === 'the dashboard’s dispose') dashboard.dispose();
    for (const [at, widget] of widgets.entries()) {
      if (way === 'dispose') widget.dispose();
      if (way === 'Symbol.dispose') widget[Symbol.dispose]();
      if (way === 'abort') controllers[at]!.abort();
    }
    // After half of the ways nothing more is heard: no later value may be needed to let go.
    if (way === 'Symbol.dispose' || way === 'the dashboard’s dispose') held.bus.emit(way, value);
    if (!keepsWidgets) continue;
    for (const [at, widget] of widgets.entries()) {
      const { summary } = widget;
      const { count: seen, sum } = summary();
      if (seen !== 101 || Math.abs(sum - 101 * value) > 1e-6) wrong += 1;
      held.widgets.push(at % 2 === 0 ? widget : summary);
    }
  }
  return { heard, heardBefore, wrong };
}

function inWords(value: unknown): string {
  return value instanceof Error
    ? `${value.name}: ${value.message}`
    : typeof value === 'string'
      ? `"${value}"`
      : String(value);
}
