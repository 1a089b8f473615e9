import { type Exploration, type Schedule, explore } from '../../helpers/instruments/mysql/schedule-explorer.ts';
import type * as Kata from '../../katas/bank-transfer/bank-transfer.ts';
import type { Books, Scene } from './accounts.ts';
import { type Outcome, transferAtOnce } from './inside.ts';
import { type Services, transfer } from './service.ts';

type Transfer = Kata.Transfer;

/** A transfer and how it ended. */
export interface Call {
  readonly transfer: Transfer;
  readonly outcome: Outcome;
}

/** Transfers that ran at once, and what a reader saw afterwards. */
export interface Race {
  readonly what: string;
  readonly scene: Scene;
  /** The one that was stopped comes first. */
  readonly calls: readonly Call[];
  readonly standstill: Schedule<unknown, unknown>['standstill'];
  readonly books: Books;
  /** Rows that were still locked then. */
  readonly locked: readonly string[];
}

/** Which transfers run at once. */
export interface Start {
  readonly name: string;
  /** The first one is stopped; the others run meanwhile, all at once. */
  of(scene: Scene): readonly [Transfer, ...Transfer[]];
  /** In which processes the others run; the first one is in process A. By default once in B, and once in A. */
  readonly processes?: readonly ('A' | 'B')[];
  readonly standstill?: Exploration<Outcome, Outcome[]>['standstill'];
}

/** More statements than a transfer needs, also one that is tried again. */
export const maxSteps = 20;

/** The first transfer is stopped after each of its statements, while the others run. */
export async function* races(services: Services, start: Start): AsyncGenerator<Race> {
  const { name, of, processes = ['B', 'A'], standstill: wait } = start;
  for (const process of processes) {
    const [a, other] = [await services.running('A'), await services.running(process)];
    let scene = services.scene();
    for await (const { first, others, step, standstill, timeline } of explore({
      admin: services.database.admin,
      maxSteps,
      reset: async () => void (scene = services.scene()),
      first: { ...a.session, call: () => transfer(a, of(scene)[0]) },
      others: { ...other.session, call: () => other.subject.run(transferAtOnce, of(scene).slice(1)) },
      ...(wait && { standstill: wait }),
    })) {
      const where = process === 'A' ? 'in the same process' : 'in process B';
      yield {
        what: `${name}; the first one, in process A, was stopped after its statement ${step} while the rest ran ${where}\n${timeline}\n`,
        scene,
        calls: of(scene).map((one, index) => ({ transfer: one, outcome: [first, ...others][index]! })),
        standstill,
        books: await services.settledBooks(scene),
        locked: await services.lockedBy(of(scene)),
      };
    }
  }
}

/** Makes all these transfers at once, half of them in each process. */
export async function crowd(services: Services, scene: Scene, transfers: readonly Transfer[]): Promise<Race> {
  const half = transfers.length / 2;
  const outcomes = await Promise.all(
    ['A', 'B'].map(async (name, index) =>
      (await services.running(name)).subject.run(transferAtOnce, transfers.slice(index * half, (index + 1) * half)),
    ),
  );
  return {
    what: `${half} transfers in each of two processes, all at once\n`,
    scene,
    calls: outcomes.flat().map((outcome, index) => ({ transfer: transfers[index]!, outcome })),
    standstill: 'done',
    books: await services.settledBooks(scene),
    locked: await services.lockedBy(transfers),
  };
}
