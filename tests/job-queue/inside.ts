import { type Connection, type ResultSetHeader, createConnection } from 'mysql2/promise';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import type { AccountOptions } from '../../helpers/instruments/mysql/test-database.ts';
import type * as Kata from '../../katas/job-queue/job-queue.ts';

/** How a call ended. */
export type Outcome<T> = { readonly value: T } | { readonly error: string };

/** A claim as plain data; `claim` is its number in the process that has it. */
export interface Claimed {
  readonly claim: number;
  readonly id: number;
  readonly data: unknown;
  readonly attempt: number;
}

/** How `claim` ended. */
export type ClaimOutcome = Outcome<Claimed | undefined>;

/** What a worker may do with a claim. */
export type Deed = 'complete' | 'fail' | 'renew';

export type Settings = Pick<Kata.QueueOptions, 'leaseMs' | 'retryMs' | 'maxAttempts'>;

interface Kept {
  mysql: AccountOptions;
  queue: Kata.Queue;
  claims: Kata.Job[];
  nowMs: number;
  caller: Connection;
}

type In<Args = undefined> = Inside<typeof Kata, Args, Kept>;

/** Creates this process's queue. */
export function openQueue({
  kata,
  args: { mysql, settings },
  kept,
}: In<{ readonly mysql: AccountOptions; readonly settings: Settings }>): void {
  kept.mysql = mysql;
  kept.claims = [];
  kept.nowMs = 0;
  kept.queue = kata.createQueue({ mysql, ...settings, now: () => kept.nowMs });
}

export async function migrate({ kept: { queue } }: In): Promise<void> {
  await queue.migrate();
}

export function setClock({ args, kept }: In<number>): void {
  kept.nowMs = args;
}

export async function enqueue({
  args: { data, ...options },
  kept: { queue },
}: In<{ readonly data: unknown; readonly runAt?: number }>): Promise<Outcome<number>> {
  return await outcomeOf(() => (options.runAt === undefined ? queue.enqueue(data) : queue.enqueue(data, options)));
}

/** Claims once for each of these workers, all at once. */
export async function claimAtOnce({ args: workers, kept }: In<readonly string[]>): Promise<ClaimOutcome[]> {
  return await Promise.all(workers.map(async (worker) => await claimFor(kept, worker)));
}

/** Claims one job after the other until there is none, or `most` claims are made. */
export async function claimInTurn({
  args: { worker, most },
  kept,
}: In<{ readonly worker: string; readonly most: number }>): Promise<ClaimOutcome[]> {
  const outcomes: ClaimOutcome[] = [];
  while (outcomes.length < most) {
    const outcome = await claimFor(kept, worker);
    if ('value' in outcome && outcome.value === undefined) break;
    outcomes.push(outcome);
  }
  return outcomes;
}

/** Ends or renews a claim of this process. */
export async function act({
  args: { deed, claim, message },
  kept,
}: In<{
  readonly deed: Deed;
  readonly claim: number;
  readonly message: string;
}>): Promise<Outcome<boolean>> {
  const { queue, claims } = kept;
  const job = claims[claim]!;
  return await outcomeOf(async () => {
    if (deed === 'fail') return await queue.fail(job, new Error(message));
    return await queue[deed](job);
  });
}

export async function failedJobs({ kept: { queue } }: In): Promise<Kata.FailedJob[]> {
  return (await queue.failedJobs()).map(({ id, data, error }) => ({ id, data, error }));
}

export async function closeQueue({ kept: { queue } }: In): Promise<void> {
  await queue.close();
}

/** Begins a transaction of the caller's own, with an order in it. */
export async function beginOrder({ args: id, kept }: In<number>): Promise<void> {
  kept.caller = await createConnection(kept.mysql);
  await kept.caller.beginTransaction();
  await kept.caller.query('INSERT INTO orders VALUES (?)', [id]);
}

/** Enqueues a job on the connection of that transaction. */
export async function enqueueForOrder({
  args: { data, runAt },
  kept: { queue, caller: connection },
}: In<{ readonly data: unknown; readonly runAt?: number }>): Promise<Outcome<number>> {
  return await outcomeOf(() => queue.enqueue(data, { ...(runAt !== undefined && { runAt }), connection }));
}

/** Adds one more order, and ends the transaction. Says how many orders it added, or with which error. */
export async function endOrder({
  args: { id, how },
  kept: { caller },
}: In<{ readonly id: number; readonly how: 'commit' | 'rollback' }>): Promise<Outcome<number>> {
  return await outcomeOf(async () => {
    const [result] = await caller.query<ResultSetHeader>('INSERT INTO orders VALUES (?)', [id]);
    await caller[how]();
    await caller.end();
    return result.affectedRows;
  });
}

/** Gives up the connection of that transaction. */
export function leaveOrder({ kept: { caller } }: In): void {
  caller.destroy();
}

async function claimFor({ queue, claims }: Kept, worker: string): Promise<ClaimOutcome> {
  return await outcomeOf(async () => {
    const job = await queue.claim(worker);
    if (job === undefined) return undefined;
    const { id, data, attempt } = job;
    return { claim: claims.push(job) - 1, id, data, attempt };
  });
}

async function outcomeOf<T>(run: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await run() };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
