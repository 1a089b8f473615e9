import fc from 'fast-check';
import type { RowDataPacket } from 'mysql2/promise';
import { chosenSeed } from '../../helpers/judging/drawn/seed.ts';
import type * as Kata from '../../katas/bank-transfer/bank-transfer.ts';
import type { Outcome } from './inside.ts';

type Transfer = Kata.Transfer;

export interface Account {
  readonly id: string;
  /** What the judge has put into it. */
  readonly opening: number;
}

interface LedgerRow extends Transfer {
  readonly after: number;
}

/** What a reader sees at one instant: the balance of each account of a scene, and its rows of the ledger. */
export interface Books {
  readonly balances: ReadonlyMap<string, number>;
  readonly rows: readonly LedgerRow[];
}

/** More scenes than any answer needs. Each has accounts of its own, so nothing has to be cleaned up between two of them. */
const mostScenes = 1200;
const letters = 'abcdefghijklmnopqrstuvwxyz';

function inLetters(number: number, length: number): string {
  return Array.from({ length }, (_, place) => letters[Math.floor(number / 26 ** place) % 26]).join('');
}

/** Four accounts, in a random order of their ids, an amount that each of them has several times, and keys. */
export class Scene {
  readonly accounts: readonly [Account, Account, Account, Account];
  readonly amount: number;
  readonly #keys: string;

  private constructor(accounts: readonly Account[], amount: number, keys: string) {
    this.accounts = accounts as Scene['accounts'];
    this.amount = amount;
    this.#keys = keys;
  }

  /** All scenes of this run's seed. */
  static draw(): Scene[] {
    const small = fc.integer({ min: 0, max: 26 ** 3 - 1 });
    const account = fc.record({ head: small, cents: fc.integer({ min: 100_000, max: 9_000_000 }) });
    const scene = fc.record({
      accounts: fc.array(account, { minLength: 4, maxLength: 4 }),
      head: small,
      amount: fc.integer({ min: 1_001, max: 20_000 }),
    });
    return fc.sample(scene, { seed: chosenSeed(), numRuns: mostScenes }).map(
      ({ accounts, head, amount }, number) =>
        new Scene(
          accounts.map((one, index) => ({
            id: inLetters(one.head, 3) + inLetters(number * 4 + index, 3),
            // Two of the four are rich, far beyond 32 bits.
            opening: (number + index) % 2 === 0 ? one.cents * 1_000_003 : one.cents,
          })),
          amount,
          `${inLetters(head, 3)}${inLetters(number, 3)}-`,
        ),
    );
  }

  /** One like this, with other ids: the first two, joined by a hyphen, read like the last two. */
  alike(): Scene {
    const [one, two, three] = this.ids as [string, string, string];
    const ids = [`${one}-${two}`, `${three}-x`, one, `${two}-${three}-x`];
    const accounts = this.accounts.map(({ opening }, index) => ({ id: ids[index]!, opening }));
    return new Scene(accounts, this.amount, this.#keys);
  }

  /** A key of this scene. No key of another scene lies between two of them. */
  key(number = 1): string {
    return this.#keys + inLetters(number * 7, 2);
  }

  /** A transfer between two of its accounts, by their numbers from 0. */
  transfer(from: number, to: number, { amount = this.amount, key = 1 } = {}): Transfer {
    return { from: this.accounts[from]!.id, to: this.accounts[to]!.id, amount, key: this.key(key) };
  }

  get ids(): string[] {
    return this.accounts.map(({ id }) => id);
  }

  /** The answer to that transfer if it is the first one that takes from its account. */
  firstAnswer({ from, amount }: Transfer): Outcome {
    return { moved: true, balance: this.#opening(from) - amount };
  }

  /** What each account must have after these transfers. */
  balancesAfter(transfers: readonly Transfer[]): Map<string, number> {
    const balances = new Map(this.accounts.map(({ id, opening }) => [id, opening]));
    for (const { from, to, amount } of transfers) {
      if (balances.has(from)) balances.set(from, balances.get(from)! - amount);
      if (balances.has(to)) balances.set(to, balances.get(to)! + amount);
    }
    return balances;
  }

  #opening(account: string): number {
    return this.accounts.find(({ id }) => id === account)!.opening;
  }
}

/** SQL that reads the books of a scene in one snapshot; the second and third result have them. */
export const readBooksSql = `START TRANSACTION WITH CONSISTENT SNAPSHOT;
SELECT id, balance FROM accounts WHERE id IN (?);
SELECT * FROM ledger WHERE from_account IN (?) OR to_account IN (?) OR transfer_key LIKE ?;
COMMIT`;

export function booksOf([, accounts, rows]: readonly RowDataPacket[][]): Books {
  return {
    balances: new Map(accounts!.map(({ id, balance }) => [String(id), Number(balance)])),
    rows: rows!.map((row) => ({
      key: row.transfer_key,
      from: row.from_account,
      to: row.to_account,
      amount: row.amount,
      after: row.balance_after,
    })),
  };
}

/** Which balance differs from the expected one, in words; undefined when none does. */
export function differenceIn(
  { accounts }: Scene,
  { balances }: Books,
  expected: ReadonlyMap<string, number>,
): string | undefined {
  const wrong = accounts.find(({ id }) => balances.get(id) !== expected.get(id));
  return (
    wrong &&
    `account ${wrong.id}, opened with ${wrong.opening}, has ${balances.get(wrong.id)}; expected ${expected.get(wrong.id)}`
  );
}

/** What is wrong with books whose balances and ledger must agree; undefined when nothing is. */
export function disagreementIn(scene: Scene, books: Books): string | undefined {
  const difference = differenceIn(scene, books, scene.balancesAfter(books.rows));
  return difference && `${difference} by its ${books.rows.length} rows of the ledger`;
}
