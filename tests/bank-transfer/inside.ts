import type { AccountOptions } from '../../helpers/instruments/mysql/test-database.ts';
import type { Inside } from '../../helpers/judging/subject/subject-types.ts';
import type * as Kata from '../../katas/bank-transfer/bank-transfer.ts';

/** How a transfer ended. */
export type Outcome = Kata.Answer | { readonly error: string };

interface Kept {
  /** The bank of this process; of several, the last one. */
  bank: Kata.Bank;
  banks: Kata.Bank[];
}

/** Creates this process's bank, or one more. */
export function createBank({ kata, args, kept }: Inside<typeof Kata, AccountOptions, Kept>): void {
  kept.bank = kata.createBank(args);
  (kept.banks ??= []).push(kept.bank);
}

/** Makes a transfer in one of several banks, told by its number from 0. */
export async function transferIn({
  args: { bank, transfer },
  kept: { banks },
}: Inside<typeof Kata, { readonly bank: number; readonly transfer: Kata.Transfer }, Kept>): Promise<Outcome> {
  return await outcomeOf(banks[bank]!, transfer);
}

/** Makes these transfers at once and returns the outcome of each. */
export async function transferAtOnce({
  args: transfers,
  kept: { bank },
}: Inside<typeof Kata, readonly Kata.Transfer[], Kept>): Promise<Outcome[]> {
  return await Promise.all(transfers.map((one) => outcomeOf(bank, one)));
}

/** Asks for these balances, one after the other. */
export async function readBalances({
  args: { accounts, areAtOnce },
  kept: { bank },
}: Inside<typeof Kata, { accounts: readonly string[]; areAtOnce: boolean }, Kept>): Promise<number[]> {
  if (areAtOnce) return await Promise.all(accounts.map((account) => bank.balance(account)));
  const balances = [];
  for (const account of accounts) balances.push(await bank.balance(account));
  return balances;
}

/** Closes this process's bank. */
export async function closeBank({ kept }: Inside<typeof Kata, undefined, Kept>): Promise<void> {
  await kept.bank.close();
}

async function outcomeOf(bank: Kata.Bank, transfer: Kata.Transfer): Promise<Outcome> {
  try {
    const answer = await bank.transfer({ ...transfer });
    return answer.moved
      ? { moved: answer.moved, balance: answer.balance }
      : { moved: answer.moved, reason: answer.reason };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
