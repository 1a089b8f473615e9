import { settles, until } from '../../helpers/foundations/waiting/until.ts';
import { heldCommand, standstillOf } from '../../helpers/instruments/mysql/schedule-explorer.ts';
import { Timeline } from '../../helpers/instruments/mysql/timeline.ts';
import type * as Kata from '../../katas/bank-transfer/bank-transfer.ts';
import type { Books, Scene } from './accounts.ts';
import type { Outcome } from './inside.ts';
import { maxSteps } from './races.ts';
import { type Services, transfer } from './service.ts';

/** A transfer whose connection or process died at one of its statements, and what came after. */
export interface Death {
  readonly what: string;
  readonly scene: Scene;
  readonly one: Kata.Transfer;
  /** How the call ended whose connection or process died. */
  readonly dying: Outcome;
  /** How a second call ended that another process made just before, if there was one. */
  readonly rival: Outcome | undefined;
  /** How the next two calls ended, one in each of two processes. */
  readonly again: readonly Outcome[];
  /** What a reader saw while the statement was held. */
  readonly meanwhile: Books;
  /** What it saw when these calls had ended. */
  readonly afterwards: Books;
  /** What it saw when the first of the calls after them had ended. */
  readonly between: Books;
  /** What it saw when the calls after them had ended. */
  readonly atEnd: Books;
}

interface Way {
  readonly name: string;
  readonly at: 'before' | 'after';
  readonly isProcess?: boolean;
  readonly hasRival?: boolean;
}

const ways: readonly Way[] = [
  { name: 'the connection was lost', at: 'after' },
  { name: 'the connection was lost', at: 'before' },
  { name: 'another process made the same transfer and then the connection was lost', at: 'after', hasRival: true },
  { name: 'the process was killed', at: 'after', isProcess: true },
];
/** A transfer dies at each of its statements, in every way. */
export async function deathsOf(services: Services): Promise<Death[]> {
  const deaths: Death[] = [];
  for (const way of ways)
    for (let step = 1; step <= maxSteps; step++) {
      const death = await deathAt(services, way, step);
      if (!death) break;
      deaths.push(death);
    }
  return deaths;
}

/** Undefined when the call is over before it comes to that statement. */
async function deathAt(services: Services, way: Way, step: number): Promise<Death | undefined> {
  const { name, at, isProcess = false, hasRival = false } = way;
  const { admin } = services.database;
  const scene = services.scene();
  const one = scene.transfer(0, 1);
  const b = await services.running('B');
  const a = isProcess ? await services.open('A') : await services.running('A');
  const timeline = new Timeline();
  for (const { proxy } of [a, b]) proxy.record(timeline);
  const hold = a.proxy.holdCommand(step, at);
  try {
    const call = transfer(a, one).catch((error: unknown): Outcome => {
      if (!isProcess) throw error;
      return { error: 'the process was killed' };
    });
    const command = await heldCommand(hold, call, a.subject);
    // A call that asks nothing of the server is judged all the same, once.
    if (!command && step > 1) return undefined;
    call.catch(() => undefined);
    const reading = services.books(scene);
    // Who locks the tables keeps the reader waiting; that is another promise's business.
    await settles(reading, 1_000);

    const rivalCall = hasRival ? transfer(b, one) : undefined;
    rivalCall?.catch(() => undefined);
    if (rivalCall) await standstillOf(rivalCall, b, admin);

    if (isProcess) await a.subject[Symbol.asyncDispose]();
    else if (command && at === 'after') await admin.query(`KILL ${command.threadId}`);
    else hold.drop();
    await until(() => !command || !a.proxy.threadIds.includes(command.threadId));
    hold.release();
    const dying = await call;
    // It rolls back before it ends.
    if (command) await until(async () => !(await services.database.sessions()).includes(command.threadId));
    const rival = await rivalCall;
    const meanwhile = await reading;
    const afterwards = await services.settledBooks(scene);

    const first = await transfer(isProcess ? await services.running('A') : a, one);
    const between = await services.settledBooks(scene);
    const again = [first, await transfer(b, one)];
    const what = `${name} ${at} the server ran statement ${step}\n${timeline.toString()}\n`;
    const atEnd = await services.settledBooks(scene);
    return { what, scene, one, dying, rival, again, meanwhile, afterwards, between, atEnd };
  } finally {
    hold.release();
    for (const { proxy } of [a, b]) proxy.record(undefined);
    if (isProcess) await a[Symbol.asyncDispose]();
  }
}
