import { writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import fc from 'fast-check';
import { until } from '../../helpers/foundations/waiting/until.ts';
import { holdLoop } from '../../helpers/instruments/event-loop/hold-loop.ts';
import { bundleInside } from '../../helpers/judging/subject/bundle-inside.ts';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';
import type { Patience } from '../../helpers/judging/subject/patience.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/cluster/cluster.ts';
import type { Boss, Plan, SeenWorker } from './boss.ts';
import type { Duty } from './worker.ts';
import { type Report, type Settings, call, open, pass, report, stopAfter } from './inside.ts';

/** What a client got: the process that answered, or what went wrong. */
export type Answer = { readonly pid: number } | { readonly error: string };

/** What differs from seed to seed. */
export const drawn = drawOne(
  fc.record({
    size: fc.integer({ min: 2, max: 4 }),
    restartMs: fc.integer({ min: 100, max: 300 }),
    maxFailures: fc.integer({ min: 2, max: 4 }),
    stopMs: fc.integer({ min: 12_000, max: 18_000 }),
    code: fc.constantFrom(0, 1, 7),
    name: fc.stringMatching(/^[a-z]{6,9}$/),
  }),
);

const usual = {
  size: 2,
  restartMs: drawn.restartMs,
  maxRestartMs: 5 * drawn.restartMs,
  maxFailures: drawn.maxFailures,
  stopMs: drawn.stopMs,
  pingMs: 200_000,
  hangMs: 900_000,
  isTold: true,
};
export type Choice = Partial<typeof usual> & { readonly plan?: (index: number) => Plan };

let lastFile = 0;

/** A request that a worker holds. */
export interface Held {
  readonly worker: SeenWorker;
  readonly path: string;
  readonly answer: Promise<Answer>;
}

/** One primary process with its workers, their boss, and clients. */
export class Stage {
  readonly boss: Boss;
  readonly settings: Settings;
  readonly #subject: Subject<typeof Kata>;
  readonly #port: number;
  readonly #patience: Patience;
  #report: Report;
  #lastHeld = 0;

  private constructor(
    subject: Subject<typeof Kata>,
    boss: Boss,
    settings: Settings,
    port: number,
    patience: Patience,
    seen: Report,
  ) {
    this.#subject = subject;
    this.boss = boss;
    this.settings = settings;
    this.#port = port;
    this.#patience = patience;
    this.#report = seen;
  }

  /** Calls startCluster, and does not wait for it. */
  static async open(
    subject: Subject<typeof Kata>,
    workspace: string,
    boss: Boss,
    patience: Patience,
    choice: Choice & { readonly port: number },
  ): Promise<Stage> {
    const { plan = () => 'listen', ...settings } = choice;
    boss.plan = plan;
    const worker = join(workspace, `${drawn.name}-${++lastFile}.cjs`);
    const address = JSON.stringify(await subject.addressInside(boss.address));
    const source = await bundleInside(join(import.meta.dirname, 'worker.ts'));
    await writeFile(worker, source.replace('"ADDRESS"', JSON.stringify(address)));
    const all = { ...usual, ...settings, worker };
    const seen = await subject.run(open, all);
    return new Stage(subject, boss, all, await subject.portOutside(all.port), patience, seen);
  }

  /** What was seen last. */
  get seen(): Report {
    return this.#report;
  }

  async look(): Promise<Report> {
    return (this.#report = await this.#subject.run(report));
  }

  /** Moves the clocks of the primary process, and lets each worker that can answer its pings meanwhile. */
  async pass(ms: number): Promise<Report> {
    const frozen = this.boss.living.filter(({ isFrozen }) => isFrozen).map(({ pid }) => pid);
    const stepMs = this.settings.pingMs;
    for (let leftMs = ms; leftMs > stepMs; ms = leftMs -= stepMs) await this.#subject.run(pass, { ms: stepMs, frozen });
    return (this.#report = await this.#subject.run(pass, { ms, frozen }));
  }

  /** Calls startCluster once more in the same process, with workers that listen, and does not wait for it. */
  async again(): Promise<void> {
    this.boss.plan = () => 'listen';
    this.#report = await this.#subject.run(open, this.settings);
  }

  /** Calls stop or reload, and does not wait for it. Gives back its number among the calls. */
  async call(name: 'stop' | 'reload'): Promise<number> {
    this.#report = await this.#subject.run(call, name);
    return this.#report.calls.length - 1;
  }

  /**
   * Lets a worker die, and has stop called before the primary process can have heard of it. Gives back its number among the calls;
   * undefined where the judge cannot hold up that process.
   */
  async stopAsDies(worker: SeenWorker, workspace: string): Promise<number | undefined> {
    // Windows has no named pipe.
    if (process.platform === 'win32') return undefined;
    await using loop = await holdLoop(this.#subject, workspace, (pipe) => this.#subject.run(stopAfter, pipe));
    if (!loop.isHeld) return undefined;
    worker.order({ do: 'die' });
    await until(() => worker.isGone);
    await loop.release();
    return (await this.look()).calls.length - 1;
  }

  /** Waits for a state; the test fails when it does not come. `what` continues "the judge waited for". */
  async sees(what: string, isThere: (seen: Report) => boolean): Promise<void> {
    const hasCome = await this.#patience.sees(async () => isThere(await this.look()));
    expectThat(hasCome, `the judge waited in vain for ${what}; ${this.#inWords()}`);
  }

  /** Waits until startCluster has resolved. */
  async starts(): Promise<void> {
    await this.sees('startCluster', ({ start }) => start.ended !== 'pending');
    expectThat(this.seen.start.ended === 'resolved', `startCluster ${this.seen.start.ended}`);
    await this.settles();
  }

  /** Waits until stats() lists these; by default all that are alive. */
  async serves(workers: () => readonly SeenWorker[] = () => this.boss.living): Promise<void> {
    const list = () => pidsOf(workers()).join();
    await this.sees(
      'stats() to list the workers that listen, and no others',
      ({ serving }) => serving.join() === list(),
    );
  }

  /** Waits for the worker that started as number `index`, from 0. */
  async worker(index: number): Promise<SeenWorker> {
    await this.sees(`the start of process ${index + 1}`, () => this.boss.workers.length > index);
    return this.boss.workers[index]!;
  }

  /** Waits until the call of that number has settled, and says how. */
  async ended(number: number, what: string): Promise<Report['calls'][number]> {
    await this.sees(`${what} to settle`, ({ calls }) => calls[number]!.ended !== 'pending');
    return this.seen.calls[number]!;
  }

  /** One request on a connection of its own. */
  async ask(path = '/'): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const fail = (error: Error) => resolve({ error: error.message });
    const request = get({ host: '127.0.0.1', port: this.#port, path, agent: false }, (response) => {
      response.toArray().then((chunks) => resolve({ pid: Number(Buffer.concat(chunks as Buffer[]).toString()) }), fail);
    }).on('error', fail);
    // A connection that was handed to a worker as it died is never answered. Held requests wait for the judge.
    const isHeld = path !== '/';
    if (!isHeld && !(await this.#subject.settles(promise))) request.destroy(new Error('no answer'));
    return await promise;
  }

  /**
   * Gives a worker an order, and waits until it has obeyed. Orders travel on a connection of their own: without that wait, what the
   * module does next could reach the worker first.
   */
  async obeys(worker: SeenWorker, duty: Duty['do']): Promise<void> {
    expectThat(await this.lives(worker, duty), `a worker that ran had died; ${this.#inWords()}`);
  }

  /** Whether a worker still lives, which it says itself: one that has been killed no longer does, though nobody has seen its end yet. */
  async lives(worker: SeenWorker, duty: Duty['do'] = 'nothing'): Promise<boolean> {
    const before = worker.obeyed;
    worker.order({ do: duty });
    await this.sees('a worker to hear the judge', () => worker.obeyed > before || worker.isGone);
    return !worker.isGone;
  }

  /** Waits until `size` workers live and no others, and stats() lists them. */
  async settles(when = ''): Promise<void> {
    const { size } = this.settings;
    const what = `${size} workers to live, and no others${when}`;
    await this.sees(what, ({ forks, exits }) => forks - exits === size);
    for (const worker of this.boss.living) await this.lives(worker);
    await this.sees(what, () => this.boss.living.length === size);
    await this.serves();
  }

  /** Calls reload(). Whether it ended so, with as many workers as before; if not, promises 9 and 10 say why. */
  async reloads(ended: 'resolved' | 'rejected' = 'resolved'): Promise<boolean> {
    const number = await this.call('reload');
    await this.#patience.sees(async () => (await this.look()).calls[number]!.ended !== 'pending');
    if (!this.seen.calls[number]!.ended.startsWith(ended)) return false;
    const { size } = this.settings;
    const isWhole = await this.#patience.sees(async () => {
      const { forks, exits } = await this.look();
      return forks - exits === size;
    });
    if (isWhole) await this.settles();
    return isWhole;
  }

  /** Waits until a call has settled, or stalls because the clocks stand still and one worker is held back. */
  async settlesOrStalls(number: number, heldBack: SeenWorker): Promise<void> {
    const isQuiet = ({ forks, exits }: Report) =>
      forks - exits === this.boss.living.length &&
      this.boss.living.every((worker) => worker === heldBack || (worker.listens && !worker.isAsked));
    for (let step = 0; step < stepsPerPlace * this.settings.size; step++) {
      if (this.seen.calls[number]!.ended !== 'pending') return;
      await this.sees('workers to start and to stop', isQuiet);
      await this.pass(0);
    }
  }

  /** Makes a request that the worker holds until the judge lets it go. */
  async hold(): Promise<Held> {
    const path = `/held-${++this.#lastHeld}`;
    const answer = this.ask(path);
    const holder = () => this.boss.workers.find(({ holds }) => holds.has(path));
    await this.sees(`a worker that takes request ${path}`, () => holder() !== undefined);
    return { worker: holder()!, path, answer };
  }

  /** Makes requests until each of these workers holds one. */
  async holdAt(workers: readonly SeenWorker[]): Promise<Held[]> {
    const held: Held[] = [];
    while (!workers.every((worker) => held.some((one) => one.worker === worker)) && held.length < manyRequests)
      held.push(await this.hold());
    expectThat(
      held.length < manyRequests,
      `${manyRequests} requests did not reach all of the ${workers.length} workers`,
    );
    return held;
  }

  /** Lets the workers answer these, and gives back what the clients got. */
  async release(held: readonly Held[]): Promise<Answer[]> {
    for (const { worker, path } of held) worker.order({ do: 'answer', path });
    return await Promise.all(held.map(({ answer }) => answer));
  }

  /**
   * Makes requests until each of these workers has answered one. Several at once: in step with another client, one after the other
   * could always reach the same worker.
   */
  async answeredBy(workers: readonly SeenWorker[]): Promise<void> {
    await this.sees('a worker to listen', () => workers.every(({ listens, isGone }) => listens || isGone));
    const missing = new Set(workers.map(({ pid }) => pid));
    const errors: string[] = [];
    for (let count = 0; missing.size > 0 && count < manyRequests; count += requestsAtOnce) {
      const answers = await Promise.all(Array.from({ length: requestsAtOnce }, () => this.ask()));
      for (const answer of answers)
        if ('pid' in answer) missing.delete(answer.pid);
        else errors.push(answer.error);
    }
    expectThat(
      missing.size === 0,
      `of ${manyRequests} requests none was answered by process ${[...missing].join(', ')}; ${errors.length} failed${errors[0] ? `: ${errors[0]}` : ''}`,
    );
  }

  #inWords(): string {
    const { forks, exits, serving, start, calls } = this.seen;
    const called = calls.map(({ ended }) => ended).join(', ');
    return `seen: startCluster ${start.ended}${called && `, calls ${called}`}, ${forks} processes started, ${exits} of them ended, stats() lists ${serving.length}`;
  }
}

/** A cluster hands out connections in turn; anything that reaches a worker at all needs far fewer. */
const manyRequests = 100;
/** More than there are workers. */
const requestsAtOnce = 10;

/** More than it takes to see that a new worker listens, that the old one was asked to stop, and that it is gone. */
const stepsPerPlace = 5;

/** In ascending order. */
export function pidsOf(workers: readonly SeenWorker[]): number[] {
  return workers.map(({ pid }) => pid).toSorted((one, other) => one - other);
}
