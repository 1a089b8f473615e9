import { setImmediate as turn } from 'node:timers/promises';
import type { Connection } from 'mysql2/promise';
import { until } from '../../foundations/waiting/until.ts';
import { namedLockLimitMs, waitingThreads } from './lock-waits.ts';
import type { Command, Hold, HoldPoint } from './holds.ts';
import { type MysqlProxy, pendingThreads } from './proxy.ts';
import { Timeline } from './timeline.ts';

/** A process, seen from outside: what it says to the server, and whether its event loop still turns. */
export interface Session {
  readonly proxy: MysqlProxy;
  readonly subject: { turns(count: number): Promise<void> };
}

/** What the other calls had come to when the explorer let the withheld one go on. */
type Standstill = 'done' | 'waiting for a lock' | 'idle' | 'trying again' | 'not done';

/** One schedule: the first call stood still at its `step`-th command while the others ran. */
export interface Schedule<First, Others> {
  readonly step: number;
  /** Whether the command was held before the server ran it, or its answer after that. */
  readonly at: HoldPoint;
  /** The command that was held; `none` when the call sent none at all. */
  readonly command: string;
  /** What `whenAnswered` returned, if the first call had been answered although its command was held. */
  readonly early?: unknown;
  readonly first: First;
  readonly others: Others;
  /** What the other calls had come to before the first was let go. */
  readonly standstill: Standstill;
  readonly timeline: string;
}

export interface Exploration<First, Others> {
  /** Whose call is stopped after each of its commands in turn. */
  readonly first: Session & { call(): Promise<First> };
  /** Who runs while the first one is held; the same session as the first one's, to explore calls within one process. */
  readonly others: Session & { call(): Promise<Others> };
  /** A connection of the test's own that may see every session of the server. */
  readonly admin: Connection;
  /** Brings the tables to the same state before each schedule. */
  reset(): Promise<void>;
  /** Where the command is held. Default: only after the server has run it. */
  readonly points?: readonly HoldPoint[];
  /** Called when the first call has been answered while a command of its process was still held: what does the table say? */
  readonly whenAnswered?: (first: First) => Promise<unknown>;
  /** Steps beyond this one are not explored. Default 12. */
  readonly maxSteps?: number;
  /** Waits until the others' call cannot go further by itself. Default `standstillOf`. */
  readonly standstill?: (call: Promise<Others>, others: Session, admin: Connection) => Promise<Standstill>;
}

/**
 * The preemption sweep. For every k: run the first call until its k-th command, hold that command (before the server runs
 * it, or its answer after that), run the others until they are done, wait for a lock, or stand idle; then let the first
 * call go on, and wait for all. Yields each schedule as it was; ends when the first call is done before its k-th command.
 *
 * Every schedule is one that a server may meet, so a correct module keeps its promise in each of them, whatever the
 * explorer took for a standstill. A held answer means that the statement has run and holds its locks. A held command shows
 * a call that returns without waiting for it.
 * @throws what a call throws; calls are expected to come back with data that says how they went
 */
export async function* explore<First, Others>(
  exploration: Exploration<First, Others>,
): AsyncGenerator<Schedule<First, Others>> {
  const { points = ['after'] } = exploration;
  for (const at of points) yield* sweep(exploration, at);
}

async function* sweep<First, Others>(
  exploration: Exploration<First, Others>,
  at: HoldPoint,
): AsyncGenerator<Schedule<First, Others>> {
  const { first, others, admin, reset, maxSteps = 12, standstill: waitForStandstill = standstillOf } = exploration;
  for (let step = 1; step <= maxSteps; step++) {
    await reset();
    const timeline = new Timeline();
    first.proxy.record(timeline);
    others.proxy.record(timeline);
    const hold = first.proxy.holdCommand(step, at);
    try {
      let answered: { readonly value: First } | undefined;
      const firstCall = first.call().then((value) => {
        answered = { value };
        return value;
      });
      const command = await heldCommand(hold, firstCall, first.subject);
      // A call that asks nothing of the server is judged all the same, once.
      if (command === undefined && step > 1) return;

      // Should a call fail, the other's failure must not go unheard of by the process.
      firstCall.catch(() => undefined);
      let early: { readonly early?: unknown } = {};
      if (command !== undefined && exploration.whenAnswered) {
        // A call that does not wait for what is held is answered within a few turns, and its answer comes before theirs.
        await first.subject.turns(20);
        if (answered) early = { early: await exploration.whenAnswered(answered.value) };
      }
      const othersCall = others.call();
      othersCall.catch(() => undefined);
      const standstill = await waitForStandstill(othersCall, others, admin);
      hold.release();
      const outcome = { first: await firstCall, others: await othersCall };
      yield {
        step,
        at,
        command: command?.sql ?? 'none',
        ...early,
        ...outcome,
        standstill,
        timeline: timeline.toString(),
      };
      if (command === undefined) return;
    } finally {
      hold.release();
      first.proxy.record(undefined);
      others.proxy.record(undefined);
    }
  }
}

/**
 * Waits for a call's held command; undefined when the call is done without it. What a call sent and did not wait for may still
 * be on its way to the proxy when the call returns. It was sent before the process answers, so it is read a few turns later.
 */
export async function heldCommand(
  hold: Hold,
  call: Promise<unknown>,
  subject: Session['subject'],
): Promise<Command | undefined> {
  const returned = call.then(async () => {
    await subject.turns(20);
    for (let turns = 0; turns < 10; turns++) await turn();
  });
  return await Promise.race([hold.reached, returned.then(() => undefined)]);
}

/**
 * Packets that the others may exchange with the server before they are taken for somebody who tries again and again: a
 * module that asks with NOWAIT and backs off never stands still, and gives up at last when nobody lets the first call go on.
 * A hundred statements or so; the next one is not taken before the first call may go on.
 */
const patiencePackets = 400;

/**
 * Waits until `call` cannot go further by itself. Idle is what a queue inside the process looks like: nothing asked of
 * the server, nothing passing, while the process's event loop has turned eighty times.
 */
export async function standstillOf(
  call: Promise<unknown>,
  { proxy, subject }: Session,
  admin: Connection,
): Promise<Standstill> {
  let done = false;
  void call.finally(() => (done = true)).catch(() => undefined);
  let isStalled = false;
  const patience = proxy.stallAfterActivity(patiencePackets);
  void patience.reached.then(() => (isStalled = true));
  try {
    // Seen twice in a row, with nothing passing between, so that the moment before an answer is not taken for a wait.
    for (let seen = 0; seen < 2;) {
      const { activity } = proxy;
      const quiet = () => proxy.activity === activity && !proxy.pending.connecting;
      await subject.turns(2);
      await turn();
      if (done) return 'done';
      if (isStalled) return 'trying again';
      // While anything passes, the answer can only be: not yet.
      const standing = quiet() && (await standsStill(proxy, subject, admin)) && quiet();
      seen = standing ? seen + 1 : 0;
    }
  } finally {
    patience.release();
  }
  if (done) return 'done';
  return proxy.pending.commands.length === 0 ? 'idle' : 'waiting for a lock';
}

/** A `GET_LOCK` with a shorter limit is waited for. */
const shortWaitMs = 5_000;

/**
 * As `standstillOf`, but for a call that waits in a GET_LOCK with a limit below 5 s: it waits until the server has ended that, and
 * then until the call cannot go further by itself. A module that does not look at the answer goes on without the lock.
 */
export async function standstillPastShortWaits(
  call: Promise<unknown>,
  session: Session,
  admin: Connection,
): Promise<Standstill> {
  const standstill = await standstillOf(call, session, admin);
  const waiting = () => session.proxy.pending.commands;
  const ending = waiting().filter(({ sql }) => (namedLockLimitMs(sql) ?? Infinity) < shortWaitMs);
  if (standstill !== 'waiting for a lock' || ending.length === 0) return standstill;
  await until(() => !ending.some((command) => waiting().includes(command)));
  return await standstillOf(call, session, admin);
}

async function standsStill(proxy: MysqlProxy, subject: Session['subject'], admin: Connection): Promise<boolean> {
  const asked = proxy.pending.commands.map(({ threadId }) => threadId);
  if (asked.length === 0) {
    await subject.turns(40);
    await turn();
    return true;
  }
  const waiting = await waitingThreads(admin, asked, pendingThreads());
  return asked.every((threadId) => waiting.has(threadId));
}
