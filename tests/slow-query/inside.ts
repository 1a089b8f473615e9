import type { AccountOptions } from '../../helpers/instruments/mysql/test-database.ts';
import type { Inside } from '../../helpers/judging/subject/subject-types.ts';
import type * as Kata from '../../katas/slow-query/slow-query.ts';

/** How a call ended. */
export type Outcome<Value> = { readonly value: Value } | { readonly error: string };

/** What a call returned, with times as text, such as `2026-01-31T10:00:00.250Z`. */
export interface Summary {
  readonly id: number;
  readonly createdAt: string;
  readonly cents: number;
}

interface WholeOrder extends Summary {
  readonly customerId: number;
  readonly note: string;
}

export interface OnePage {
  readonly orders: readonly WholeOrder[];
  readonly next: string | undefined;
}

export type Totals = readonly (readonly [customerId: number, cents: number])[];

interface Kept {
  orders: Kata.Orders;
  account: AccountOptions;
}

type In<Args = undefined> = Inside<typeof Kata, Args, Kept>;

/** Creates the module's object in this process. */
export function open({ kata, args: account, kept }: In<AccountOptions>): void {
  kept.account = account;
  kept.orders = kata.createOrders(account);
}

/** Creates another object, for another table: one that has migrated the table before may know that. */
export async function reopen({ kata, kept, tools }: In): Promise<void> {
  const closed = outcomeOf(() => kept.orders.close());
  kept.orders = kata.createOrders(kept.account);
  await Promise.race([closed, tools.turns(50)]);
}

export async function latest({
  args: { customerId, limit },
  kept,
}: In<{ customerId: number; limit: number }>): Promise<Outcome<Summary[]>> {
  return await outcomeOf(async () => (await kept.orders.latest(customerId, limit)).map(toSummary));
}

export async function page({
  args: { after, limit },
  kept,
}: In<{ after: string | undefined; limit: number }>): Promise<Outcome<OnePage>> {
  return await outcomeOf(async () => {
    const { orders, next } = await kept.orders.page(after, limit);
    return { orders: orders.map(toWholeOrder), next: next ?? undefined };
  });
}

/** Follows the cursors for so many pages, and returns the last page. */
export async function pageAfterPages({
  args: { pages, limit },
  kept,
}: In<{ pages: number; limit: number }>): Promise<Outcome<OnePage>> {
  return await outcomeOf(async () => {
    let one = await kept.orders.page(undefined, limit);
    for (let number = 1; number < pages; number++) one = await kept.orders.page(one.next, limit);
    return { orders: one.orders.map(toWholeOrder), next: one.next ?? undefined };
  });
}

export async function totals({
  args: { customerIds, year },
  kept,
}: In<{ customerIds: readonly number[]; year: number }>): Promise<Outcome<Totals>> {
  return await outcomeOf(async () => [...(await kept.orders.totals(customerIds, year))]);
}

export async function migrate({ kept }: In): Promise<Outcome<'done'>> {
  return await outcomeOf(async () => {
    await kept.orders.migrate();
    return 'done' as const;
  });
}

function toSummary({ id, createdAt, cents }: Kata.OrderSummary): Summary {
  return { id, createdAt: createdAt.toISOString(), cents };
}

function toWholeOrder(order: Kata.Order): WholeOrder {
  return { ...toSummary(order), customerId: order.customerId, note: order.note };
}

async function outcomeOf<Value>(call: () => Promise<Value>): Promise<Outcome<Value>> {
  try {
    return { value: await call() };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
