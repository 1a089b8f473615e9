import type { AccountOptions } from '../../helpers/instruments/mysql/test-database.ts';
import type { Inside } from '../../helpers/judging/subject/subject-types.ts';
import type * as Kata from '../../katas/bank-transfer/bank-transfer.ts';

/** How a transfer ended. */
export type Outcome = Kata.Answer | { readonly error: string };

interface Kept {
  bank: Kata.Bank;
}

/** Creates this process's bank. */
export function createBank({ kata, args, kept }: Inside<typeof Kata, AccountOptions, Kept>): void {
  kept.bank = kata.createBank(args);
}

/** Makes these transfers at once and returns the outcome of each. */
export async function transferAtOnce({
  args: transfers,
  kept: { bank },
}: Inside<typeof Kata, readonly Kata.Transfer[], Kept>): Promise<Outcome[]> {
  const settled = await Promise.allSettled(transfers.map(async (one) => bank.transfer({ ...one })));
  return settled.map((one) => {
    if (one.status === 'rejected') return { error: String(one.reason?.message ?? one.reason) };
    const answer = one.value;
    return answer.moved
      ? { moved: answer.moved, balance: answer.balance }
      : { moved: answer.moved, reason: answer.reason };
  });
}

/** Asks for these balances, one after the other. */
export async function readBalances({
  args: accounts,
  kept: { bank },
}: Inside<typeof Kata, readonly string[], Kept>): Promise<number[]> {
  const balances = [];
  for (const account of accounts) balances.push(await bank.balance(account));
  return balances;
}

/** Closes this process's bank. */
export async function closeBank({ kept }: Inside<typeof Kata, undefined, Kept>): Promise<void> {
  await kept.bank.close();
}
