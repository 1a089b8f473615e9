import type { RowDataPacket } from 'mysql2/promise';
import fc from 'fast-check';
import { type ModuleProcess, ModuleProcesses } from '../../helpers/instruments/mysql/module-process.ts';
import type { TestDatabase } from '../../helpers/instruments/mysql/test-database.ts';
import { chosenSeed } from '../../helpers/judging/drawn/seed.ts';
import type { SubjectsOfFile } from '../../helpers/judging/subject/subjects-of-file.ts';
import type * as Kata from '../../katas/race-condition/race-condition.ts';
import { type Outcome, createCounter, incrementAtOnce } from './inside.ts';

const word = fc.stringMatching(/^[a-z]{5,9}$/);

/** What differs from seed to seed: three ids (two of them in the table), the start value, and numbers of calls. */
export const [drawn] = fc.sample(
  fc.record({
    ids: fc.uniqueArray(word, { minLength: 3, maxLength: 3 }),
    start: fc.integer({ min: 100, max: 90_000 }),
    others: fc.integer({ min: 2, max: 4 }),
    crowd: fc.integer({ min: 7, max: 9 }),
  }),
  { seed: chosenSeed(), numRuns: 1 },
) as [{ ids: [string, string, string]; start: number; others: number; crowd: number }];
const { ids, start } = drawn;

/** One process with the module, and the proxy through which it reaches the server. */
export type Service = ModuleProcess<typeof Kata>;

/** The processes of this test file, by name, and the table that they work on. */
export class Services extends ModuleProcesses<typeof Kata> {
  readonly database: TestDatabase;

  constructor(database: TestDatabase, subjects: SubjectsOfFile<typeof Kata>) {
    super(database, subjects, {
      furnish: async (service) => {
        await service.subject.run(createCounter, service.account);
        // Opens its first connection, before a test counts statements.
        await increment(service, ids[1]);
        return service;
      },
    });
    this.database = database;
  }

  /** Sets both counters to the start value. */
  reset = async (): Promise<void> => {
    await this.database.admin.query('UPDATE counters SET value = ?', [start]);
  };

  /** The committed value, without waiting for anybody's lock. */
  async committedValue(id = ids[0]): Promise<number | undefined> {
    const [rows] = await this.database.admin.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
    return rows[0]?.value;
  }

  /** The value after every transaction that has changed it has ended. */
  async settledValue(id = ids[0]): Promise<number | undefined> {
    const [rows] = await this.database.admin.query<RowDataPacket[]>(
      'SELECT value FROM counters WHERE id = ? FOR UPDATE',
      [id],
    );
    return rows[0]?.value;
  }

  /** Whether nobody holds a lock on the first counter. */
  rowIsFree = async (): Promise<boolean> => {
    const sql = 'SELECT value FROM counters WHERE id = ? FOR UPDATE NOWAIT';
    return await this.database.admin.query(sql, [ids[0]]).then(
      () => true,
      () => false,
    );
  };

  /** Server threads of the module's account that come through no proxy of a running process. */
  async sessionsBesideProxies(): Promise<number[]> {
    const seen = this.all.flatMap(({ proxy }) => proxy.threadIds);
    return (await this.database.sessions()).filter((id) => !seen.includes(id));
  }

  /** From now on every write to the first counter fails with `reason`. */
  async refuseWrites(reason: string): Promise<void> {
    for (const write of ['INSERT', 'UPDATE', 'DELETE']) {
      const row = write === 'DELETE' ? 'OLD' : 'NEW';
      await this.database.admin.query(
        `CREATE TRIGGER guard_${write} BEFORE ${write} ON counters FOR EACH ROW IF ${row}.id = '${ids[0]}' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '${reason}'; END IF`,
      );
    }
  }

  allowWrites = async (): Promise<void> => {
    for (const write of ['INSERT', 'UPDATE', 'DELETE'])
      await this.database.admin.query(`DROP TRIGGER IF EXISTS guard_${write}`);
  };
}

/** One call from that process. */
export async function increment({ subject }: Pick<Service, 'subject'>, id = ids[0]): Promise<Outcome> {
  const [outcome] = await subject.run(incrementAtOnce, { id, calls: 1 });
  return outcome!;
}

/** The values that calls returned, in ascending order. */
export function valuesOf(outcomes: readonly Outcome[]): number[] {
  return outcomes.flatMap((one) => ('value' in one ? [one.value] : [])).sort((one, other) => one - other);
}

/** The `count` values that follow the start value. */
export function valuesFromStart(count: number): number[] {
  return Array.from({ length: count }, (_, index) => start + 1 + index);
}

/** `; 2 failed: message`, or nothing when none failed. */
export function failuresOf(outcomes: readonly Outcome[]): string {
  const errors = outcomes.flatMap((one) => ('error' in one ? [one.error] : []));
  return errors.length === 0 ? '' : `; ${errors.length} failed: ${errors[0]}`;
}
