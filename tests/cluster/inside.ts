import type { ChildProcess } from 'node:child_process';
import type NodeCluster from 'node:cluster';
import { subscribe } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { inSubject } from '../../helpers/instruments/judge/in-subject.ts';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import { type SteppedClock, installSteppedClock } from '../../helpers/instruments/stepped-clock/stepped-clock.ts';
import type * as Kata from '../../katas/cluster/cluster.ts';

/** How a call of the module stands, and how many workers were alive when it settled. */
interface CallReport {
  readonly ended: 'pending' | 'resolved' | `rejected: ${string}`;
  readonly alive: number;
}

/** What the primary process has seen since it was opened. */
export interface Report {
  readonly start: CallReport;
  /** The calls of stop() and reload(), in their order. */
  readonly calls: readonly CallReport[];
  readonly forks: number;
  readonly exits: number;
  /** Of stats(); empty before there is a cluster. */
  readonly serving: readonly number[];
  /** Messages of the errors that onGiveUp heard. */
  readonly givenUp: readonly string[];
  /** Timers that hold the process, and listeners at cluster and process. */
  readonly timers: number;
  readonly listeners: number;
}

/** The options that are plain data, and whether there is an onGiveUp. */
export type Settings = Omit<Kata.ClusterOptions, 'onGiveUp'> & { readonly isTold: boolean };

interface Bench {
  cluster?: Kata.Cluster;
  start: CallReport;
  readonly calls: CallReport[];
  readonly forksBefore: number;
  readonly givenUp: string[];
}
type In<Args = undefined> = Inside<typeof Kata, Args, { bench: Bench }>;

/** A few more turns, for a module that waits for several promises. */
const settleTurns = 5;
const children: ChildProcess[] = [];
let clock: SteppedClock;
inSubject(() => {
  clock = installSteppedClock();
  clock.hold();
  subscribe('child_process', (message) => void children.push((message as { process: ChildProcess }).process));
});

const hasExited = ({ exitCode, signalCode, pid }: ChildProcess) =>
  pid === undefined || exitCode !== null || signalCode !== null;

/** Calls startCluster, and comes back before it has settled. */
export async function open({ kata, args: { isTold, ...settings }, kept, tools }: In<Settings>): Promise<Report> {
  const bench: Bench = { start: pending, calls: [], forksBefore: children.length, givenUp: [] };
  kept.bench = bench;
  follow(
    async () => {
      bench.cluster = await kata.startCluster({
        ...settings,
        ...(isTold && { onGiveUp: (error) => void bench.givenUp.push(error.message) }),
      });
    },
    (ended) => (bench.start = ended),
  );
  return await report({ kata, args: undefined, kept, tools });
}

/** Calls stop or reload, and comes back before it has settled. */
export async function call({ kata, args: name, kept, tools }: In<'stop' | 'reload'>): Promise<Report> {
  const { calls, cluster } = kept.bench;
  const at = calls.push(pending) - 1;
  follow(
    async () => await cluster![name](),
    (ended) => (calls[at] = ended),
  );
  return await report({ kata, args: undefined, kept, tools });
}

/** Holds up this process until the pipe has been written to, and calls stop before it hears of what has happened meanwhile. */
export async function stopAfter({ args: pipe, ...inside }: In<string>): Promise<Report> {
  readFileSync(pipe);
  return await call({ ...inside, args: 'stop' });
}

/**
 * Moves the clocks of this process, and waits until each worker that can has answered all that it was sent, and what it sent
 * has arrived. `frozen` are the process ids of those that cannot.
 */
export async function pass({
  kata,
  args: { ms, frozen },
  kept,
  tools,
}: In<{ readonly ms: number; readonly frozen: readonly number[] }>): Promise<Report> {
  await clock.step(ms);
  const awake = children.filter((child) => child.connected && !hasExited(child) && !frozen.includes(child.pid!));
  await Promise.all(awake.map(echo));
  return await report({ kata, args: undefined, kept, tools });
}

export async function report({ kept: { bench }, tools }: In): Promise<Report> {
  await tools.turns(settleTurns);
  const cluster = await tools.load<{ default: typeof NodeCluster } & typeof NodeCluster>('node:cluster');
  const { start, calls, givenUp, forksBefore } = bench;
  const own = children.slice(forksBefore);
  return {
    start,
    calls,
    forks: own.length,
    // Its channel ends a moment before or after it.
    exits: own.filter((child) => hasExited(child) && !child.connected).length,
    serving: bench.cluster?.stats().serving.toSorted((one, other) => one - other) ?? [],
    givenUp,
    timers: tools.timers(),
    listeners: countListeners(cluster) + countListeners(process),
  };
}

const pending: CallReport = { ended: 'pending', alive: 0 };

function follow(act: () => Promise<void>, note: (ended: CallReport) => void): void {
  const end = (ended: CallReport['ended']) =>
    note({ ended, alive: children.filter((child) => !hasExited(child)).length });
  void act().then(
    () => end('resolved'),
    (error: unknown) => end(`rejected: ${error instanceof Error ? error.message : `${String(error)}, not an Error`}`),
  );
}

let lastEcho = 0;
async function echo(child: ChildProcess): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const id = ++lastEcho;
  const hear = (message: unknown) => void ((message as { echo?: number } | null)?.echo === id && resolve());
  child.on('message', hear).once('exit', resolve).once('disconnect', resolve);
  child.send({ echo: id }, (error) => void (error && resolve()));
  await promise;
  child.off('message', hear).off('exit', resolve).off('disconnect', resolve);
}

function countListeners(emitter: NodeJS.EventEmitter): number {
  return emitter.eventNames().reduce((count, name) => count + emitter.listenerCount(name), 0);
}
