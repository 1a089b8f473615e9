import type { Socket } from 'socket.io-client';
import { afterAll, afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { growthPerVisit } from '../../helpers/instruments/heap/churn.ts';
import { type HeapFigures, collect, collectUntil } from '../../helpers/instruments/heap/heap-figures.ts';
import { type HoldersOptions, holdersAfter, holdersText } from '../../helpers/instruments/heap/holders.ts';
import { chart } from '../../helpers/judging/verdict/chart.ts';
import { showPrinted, startSubject } from '../../helpers/judging/subject/start-subject.ts';
import { once } from '../../helpers/foundations/waiting/once.ts';
import { until } from '../../helpers/foundations/waiting/until.ts';
import type * as Kata from '../../katas/memory-leak/memory-leak.ts';
import { churnOn } from './churn.ts';
import { type Act, type Kept, type Stage, ask, heardOf, openStage, prepareBus } from './stage.ts';

/** Clients that come and go for one measurement; one in five of them over polling, the others over websocket. */
const visitors = 10;
const kB = 1024;
const draftBytes = 1024 * kB;
/** What a client sends of its own: notes, filters. */
const parcel = new Uint8Array(256 * kB).fill(7);
/** What each byte of a visitor's draft is. */
const secret = 85;
const historyLimit = 1000;
/** Each of the later messages leaves 1,024 bytes and more when all are kept, and at most half of it when up to 2,000 are. */
const messageBytes = 800;
/** Numbers in one computation: 8 bytes each. */
const samples = 50_000;
const operations = 10;
/** Clients that come and go at once; what each may leave, for in a crowd Node's own tables grow; and a fair pool of drafts. */
const crowd = 300;
const crowdBytes = 1000;
const pooledDrafts = 32;

describe('core', () => {
  test('After clients have left, get_memory_stats counts those who are still there and nobody else.', async () => {
    const server = await service();
    const [stays] = await server.connect(1);

    await server.visit(visitors);
    const { sessions } = await ask<Kata.MemoryStats>(stays!, 'get_memory_stats');

    const what = `one client stayed, ${server.departed} came and went; sessions in get_memory_stats`;
    expect(sessions, await story(what, sessions === 1, visits(come), { prefer: /session/i })).toBe(1);
  });

  test('After clients have left, no timer of theirs is alive.', async () => {
    const { timers } = await leftByVisits();

    const what = `${visitors} clients came and went; timers that they left`;
    expect(timers, await story(what, timers === 0, visits(come), { of: ['Timeout'] })).toBe(0);
  });

  test('After clients with subscriptions have left, no timer of their subscriptions is alive.', async () => {
    const server = await service();

    const plain = await leftByVisits();
    const subscribed = await leftBy(server, subscribeTwice);

    const timers = subscribed.timers - plain.timers;
    const what = `${visitors} clients with two subscriptions each, one of them asked for twice, came and went; timers that their subscriptions left`;
    expect(
      timers,
      await story(what, timers === 0, visits(subscribeTwice), {
        of: ['Timeout'],
        prefer: /send|update|subscri/i,
      }),
    ).toBe(0);
  });

  test('After close(), no timer of the gateway is alive.', async () => {
    const without = await closedWith(0, false);
    const closed = await closedWith(0);

    const timers = closed.timers - without.timers;
    const what = 'a gateway that nobody had come to was closed; timers that it left';
    const again = () => closedWith(0);
    expect(timers, await story(what, timers === 0, again, { of: ['Timeout'], atLeast: 1 })).toBe(0);
  });

  test('After clients have left, their drafts are gone.', async () => {
    const server = await service();
    const draft = new Uint8Array(1000).fill(42);
    const [stays] = await server.connect(1);
    stays!.emit('save_draft', draft);

    const { arrayBuffers } = await leftBy(server, writeDraft);
    const [newcomer] = await server.connect(1);
    const unwritten = await ask<Uint8Array | undefined>(newcomer!, 'get_draft', 1000);
    const kept = await ask<Uint8Array>(stays!, 'get_draft', draft.length);

    expect([...kept], 'the draft of a client who is still there').toEqual([...draft]);
    const seen = [...(unwritten ?? [])].filter((byte) => byte === secret).length;
    expect(seen, `a newcomer asked for 1000 bytes of its draft; bytes of somebody else’s that it got`).toBe(0);
    const drafts = Math.round(arrayBuffers / draftBytes);
    const what = `${visitors} clients with drafts came and went; drafts’ worth of binary data that they left`;
    expect(drafts, await story(what, drafts <= 1, visits(writeDraft), { prefer: /draft|Buffer/ })).toBeLessThanOrEqual(
      1,
    );
  });

  test('After clients have left, no listener of theirs is on the bus, and everybody else’s still are.', async () => {
    const server = await service();
    const before = await server.busListeners();

    await server.visit(visitors, subscribe);
    const after = await server.busListeners();

    expect(after.others, 'listeners that another part of the application put on the bus, of 2').toBe(2);
    const left = after.ours - before.ours;
    const what = `${visitors} clients came and went; listeners on the bus that they left`;
    expect(left, await story(what, left <= 0, visits(come), { prefer: /bus/ })).toBeLessThanOrEqual(0);
  });

  test('Those who stay get their heartbeats, the number online and their updates, also after others have left.', async () => {
    const server = await livelyStage();
    const stays = await server.connect(2);
    for (const client of stays) client.emit('subscribe_updates', 'prices');
    await server.visit(visitors, subscribe);

    const heard = await Promise.all(
      stays.map(async (client) => ({
        heartbeat: await heardOf(client, 'heartbeat', 2),
        online: (await heardOf(client, 'online', 2)).at(-1),
        update: await heardOf(client, 'update', 2),
      })),
    );

    const update = { topic: 'prices', at: expect.any(Number) };
    const beat = { at: expect.any(Number) };
    expect(heard, `two clients stayed, ${visitors} came and went; what those two heard after that`).toEqual(
      stays.map(() => ({ heartbeat: [beat, beat], online: 2, update: [update, update] })),
    );
  });

  test('Messages, broadcasts, direct messages and announcements reach everybody who is there, once.', async () => {
    const server = await service();
    const early = await server.connect(1);
    const [one, two] = await server.connect(2);
    await server.visit(visitors);
    await server.leave(early);
    const heard = [one!, two!].map((client) => recorder(client, ['message', 'broadcast', 'direct', 'announcement']));

    one!.emit('message', 'hello');
    two!.emit('broadcast', 'to all');
    one!.emit('direct', two!.id, 'to you');
    await server.announce('closing time');
    // What follows on the same connection has come after all that went before.
    for (const client of [one!, two!]) for (let n = 0; n < 2; n++) await ask(client, 'get_seats');
    await until(() => heard.every((list, at) => list.length >= 3 + at));

    const all = [
      { message: { from: one!.id, text: 'hello' } },
      { broadcast: 'to all' },
      { announcement: 'closing time' },
    ];
    const direct = { direct: { from: one!.id, text: 'to you' } };
    expect(sorted(heard[0]!), 'what the first client heard').toEqual(sorted(all));
    expect(sorted(heard[1]!), 'what the second client heard').toEqual(sorted([...all, direct]));
  });
});

describe('robust', () => {
  test('History answers the last 1,000 messages in their order, and stays bounded.', async () => {
    const server = await service();
    const [client] = await server.connect(1);
    const filled = 2 * historyLimit;
    const say = async (from: number) => {
      for (let n = from; n < from + filled; n++) client!.emit('message', `${n} `.padEnd(kB, 'x'));
      await ask(client!, 'get_seats');
    };

    await say(0);
    const before = await collect(server.subject);
    await say(filled);
    const after = await collect(server.subject);
    const history = await ask<Kata.Message[]>(client!, 'get_history');

    const numbers = history.map(({ text }) => Number.parseInt(text, 10));
    const expected = Array.from({ length: historyLimit }, (_, n) => 2 * filled - historyLimit + n);
    expect(numbers, `after ${2 * filled} messages, numbered from 0; those that history answers`).toEqual(expected);
    const grown = Math.round((after.heapUsed - before.heapUsed) / filled);
    const what = `${filled} messages of 1 kB came, and as many again; bytes of heap that each of the later ones left`;
    const again = () => say(0);
    expect(grown, await story(what, grown <= messageBytes, again, { prefer: /history/i })).toBeLessThanOrEqual(
      messageBytes,
    );
  });

  test('A computation answers right and leaves no working memory behind.', async () => {
    const server = await service();
    const [client] = await server.connect(1);
    const compute = () => ask<number>(client!, 'heavy_computation', samples);

    const sum = await compute();
    const { arrayBuffers } = await grownBy(server, compute);

    expect(sum, `heavy_computation of ${samples}`).toBe(((samples - 1) * samples * (2 * samples - 1)) / 6);
    const what = `${operations} computations with ${samples} numbers each; kB of binary data that they left (limit that of 1)`;
    const limit = (samples * 8) / kB;
    expect(
      Math.round(arrayBuffers / kB),
      await story(what, arrayBuffers / kB <= limit, repeat(compute), { prefer: /Float64Array|Buffer/ }),
    ).toBeLessThanOrEqual(limit);
  });

  test('A computation leaves nothing on the heap.', async () => {
    const server = await service();
    const [client] = await server.connect(1);
    const compute = () => ask<number>(client!, 'heavy_computation', samples);

    const { heapUsed } = await grownBy(server, compute);

    const what = `${operations} computations with ${samples} numbers each; kB of heap that they left (limit that of 1)`;
    const limit = (samples * 8) / kB;
    expect(
      Math.round(heapUsed / kB),
      await story(what, heapUsed / kB <= limit, repeat(compute), { prefer: /function/ }),
    ).toBeLessThanOrEqual(limit);
  });

  test('A report answers right and leaves nothing on the heap.', async () => {
    const server = await service();
    const [client] = await server.connect(1);
    const reports = 20;
    const cycle = async () => {
      for (let n = 0; n < reports; n++) await ask(client!, 'build_report', 2);
    };

    const totals = await ask<number[]>(client!, 'build_report', 20);
    const grown = await growthPerVisit({ subject: server.subject, cycle, perCycle: reports, cycles: 5 });

    const expected = Array.from({ length: 20 }, (_, n) => (n + 1) * 499_500);
    expect(totals, 'build_report of 20 sections').toEqual(expected);
    const what = `5 times ${reports} reports of 2 sections; bytes of heap that each left, as a median`;
    expect(Math.round(grown), await story(what, grown < 100, cycle, { prefer: /function/ })).toBeLessThan(100);
  });

  test('A broadcast costs no more after clients have come and gone.', async () => {
    const server = await service();
    const two = await server.connect(2);

    const before = await sendsOfBroadcast(server, two);
    await server.visit(visitors);
    const after = await sendsOfBroadcast(server, two);

    const what = `two clients stayed, ${visitors} came and went; sends of a broadcast, ${before} before`;
    expect(
      after,
      await story(what, after <= before, visits(come), { prefer: /broadcast|handler/i }),
    ).toBeLessThanOrEqual(before);
  });

  test('After clients have left, their sockets can be collected.', async () => {
    const server = await service();

    await server.visit(visitors, directToSelf);
    const figures = await collectUntil(server.subject, (now) => alive(now, 'sockets') === 0);

    const sockets = alive(figures, 'sockets');
    const what = `all clients have left, the last ${visitors} of them after a direct message; sockets that are still held`;
    expect(sockets, await story(what, sockets === 0, visits(directToSelf), { of: ['Socket'] })).toBe(0);
  });

  test('After clients with a seat have left, nothing of their notes is kept.', async () => {
    const server = await service();
    const [stays] = await server.connect(1);
    await takeSeat(stays!);

    const plain = await leftByVisits();
    const seated = await leftBy(server, takeSeat);
    const seats = await ask<string[]>(stays!, 'get_seats');

    expect(seats, 'one seated client stayed; get_seats').toEqual([stays!.id]);
    const left = parcels(seated.arrayBuffers - Math.max(0, plain.arrayBuffers));
    const what = `${visitors} clients with notes of 256 kB each came and went; notes that they left, as the size of binary data tells`;
    expect(left, await story(what, left <= 1, visits(takeSeat), { prefer: /seat|note|chair/i })).toBeLessThanOrEqual(1);
  });

  test('After clients have left, nothing is kept of the filters that they requested updates with.', async () => {
    const server = await service();
    const [stays] = await server.connect(1);

    const plain = await leftByVisits();
    const asked = await leftBy(server, requestUpdate);
    const recent = await ask<Kata.Update[]>(stays!, 'get_recent_updates');

    expect(recent.at(-1), 'the last of the recent updates').toEqual({ topic: 'prices', at: expect.any(Number) });
    const left = parcels(asked.arrayBuffers - Math.max(0, plain.arrayBuffers));
    const what = `${visitors} clients with filters of 256 kB each came and went; filters that they left, as the size of binary data tells`;
    expect(
      left,
      await story(what, left <= 1, visits(requestUpdate), {
        prefer: /update|request|filter/i,
      }),
    ).toBeLessThanOrEqual(1);
  });

  test('Clients that come and go leave less than 100 bytes each.', async () => {
    const server = await service();

    const grown = await churnOn(server, chartOfHeap());

    const what = `8 times 20 clients came, subscribed and went; bytes of heap that each left, as a median`;
    expect(Math.round(grown), await story(what, grown < 100, visits(subscribe))).toBeLessThan(100);
  });
});

describe('stretch', () => {
  test('A client with several subscriptions ends one of them and keeps the others.', async () => {
    const server = await livelyStage();
    const [client, other] = await server.connect(2);
    for (const topic of ['prices', 'news', 'news']) client!.emit('subscribe_updates', topic);
    other!.emit('subscribe_updates', 'news');
    await heardOf<Kata.Update>(client!, 'update', 1, ({ topic }) => topic === 'news');

    client!.emit('unsubscribe_updates', 'news');
    await ask(client!, 'get_seats');
    const later = recorder(client!, ['update']);
    await heardOf<Kata.Update>(client!, 'update', 3, ({ topic }) => topic === 'prices');
    const others = await heardOf<Kata.Update>(other!, 'update', 1, ({ topic }) => topic === 'news');

    const topics = later.map(({ update }) => (update as Kata.Update).topic);
    expect(new Set(topics), 'subscribed to prices and twice to news, then ended news; topics after that').toEqual(
      new Set(['prices']),
    );
    expect(others, 'another client, still subscribed to news, hears of').toHaveLength(1);
  });

  test('300 clients come and go at once, and the heap returns to where it was.', async () => {
    const server = await service();
    const before = await collect(server.subject);
    await server.visit(crowd);
    const draftsOf = ({ arrayBuffers }: HeapFigures) => Math.round((arrayBuffers - before.arrayBuffers) / draftBytes);
    const after = await collectUntil(
      server.subject,
      (now) => now.heapUsed - before.heapUsed < crowd * crowdBytes && draftsOf(now) <= pooledDrafts,
    );

    const heap = Math.round((after.heapUsed - before.heapUsed) / crowd);
    const what = `${crowd} clients came at once and went; bytes of heap that each of them left`;
    expect(heap, await story(what, heap < crowdBytes, visits(come))).toBeLessThan(crowdBytes);
    expect(
      draftsOf(after),
      `${crowd} clients came at once and went; drafts’ worth of binary data that is left`,
    ).toBeLessThanOrEqual(pooledDrafts);
  });

  test('After close() with clients still connected, the gateway holds no timer and no listener, and can be collected.', async () => {
    const without = await closedWith(2, false);
    const closed = await closedWith(2);

    const what = 'a gateway was closed while two clients were connected';
    expect(closed.timers - without.timers, `${what}; timers that it left`).toBeLessThanOrEqual(0);
    expect(closed.listeners - without.listeners, `${what}; listeners that it left on the bus`).toBe(0);
    expect(closed.othersListeners, `${what}; listeners that another part of the application put on the bus, of 2`).toBe(
      2,
    );
    expect(closed.gateways, `${what}, and io and bus live on; gateways that are still held`).toBe(0);
  });
});

/** A client that comes, and does nothing. */
const come: Act = () => undefined;
const writeDraft: Act = (client) => client.emit('save_draft', new Uint8Array(1000).fill(secret));
const takeSeat: Act = (client) => client.emit('take_seat', parcel);
const requestUpdate: Act = (client) => client.emit('request_update', { topic: 'prices', filter: parcel });
const directToSelf: Act = (client) => client.emit('direct', client.id, 'to myself');
const subscribe: Act = (client) => {
  for (const topic of ['prices', 'news']) client.emit('subscribe_updates', topic);
};

const subscribeTwice: Act = (client) => {
  for (const topic of ['prices', 'news', 'prices']) client.emit('subscribe_updates', topic);
};

/** How many parcels make up so many bytes, to the nearest: sockets have buffers of their own, 64 kB at a time. */
function parcels(bytes: number): number {
  return Math.round(bytes / parcel.length);
}

/** What clients have left behind. */
interface Left {
  readonly timers: number;
  readonly arrayBuffers: number;
}

/** What is there after a gateway was closed; `gateways` counts those that are still held. */
interface Closed {
  readonly timers: number;
  readonly listeners: number;
  readonly othersListeners: number;
  readonly gateways: number;
}

let explained = false;

let current: Stage | undefined;

/** The heap over cycles of clients, against what it would be at the limit; the one that hears it draws. */
function chartOfHeap(): (cycle: number, bytes: number) => void {
  const [heap, atLimit] = [[], []] as [number, number][][];
  chart({
    title: 'Heap over cycles of 20 clients that come and go',
    unit: 'kB more than before the first',
    xLabel: 'cycles',
    series: [
      { name: 'on the heap', points: heap! },
      { name: 'with 100 bytes left by each client', points: atLimit! },
    ],
  });
  let before = 0;
  return (cycle, bytes) => {
    if (cycle === 0) before = bytes;
    heap!.push([cycle, (bytes - before) / kB]);
    atLimit!.push([cycle, (cycle * 20 * 100) / kB]);
  };
}

/** A process that serves from promise to promise, for as long as it lives; each test has clients of its own. */
async function service(): Promise<Stage> {
  if (current?.subject.alive) {
    showPrinted(current.subject);
    return current;
  }
  const subject = await startSubject<typeof Kata, Kept>('memory-leak');
  await prepareBus(subject);
  // Its timers never come to tick, so that nothing moves while it is measured.
  current = await openStage(subject, 'main', { intervalMs: 3_600_000 });
  // Everything once, so that code is compiled and tables have grown before anything is measured.
  for (const act of [come, writeDraft, takeSeat, requestUpdate, subscribe]) await current.visit(visitors, act);
  return current;
}

/** A server of its own with timers that tick, in the same process and on the same bus; ends with the test. */
async function livelyStage(): Promise<Stage> {
  const { subject } = await service();
  const stage = await openStage(subject, 'lively', { intervalMs: 20 });
  onTestFinished(() => (subject.alive ? stage.end() : undefined));
  return stage;
}

/**
 * What is there after a gateway, with an `io` of its own on the same bus, was closed while clients were connected;
 * without a gateway, for comparison, what the clients alone amount to.
 */
async function closedWith(clients: number, withGateway = true): Promise<Closed> {
  const { subject } = await service();
  const before = await collect(subject);
  const stage = await openStage(subject, 'closing', { intervalMs: 20, withGateway });
  const there = await stage.connect(clients);
  if (withGateway) await Promise.all(there.map((client) => heardOf(client, 'heartbeat', 1)));
  await stage.closeGateway();
  const after = await collectUntil(subject, (now) => alive(now, 'gateways') <= alive(before, 'gateways'));
  const { ours, others } = await stage.busListeners();
  await stage.end();
  return {
    timers: after.timers,
    listeners: ours,
    othersListeners: others,
    gateways: alive(after, 'gateways') - alive(before, 'gateways'),
  };
}

afterEach(() => (current?.subject.alive ? current.leaveAll() : undefined));
afterAll(() => current?.subject[Symbol.asyncDispose]());

function visits(act: Act): () => Promise<void> {
  return async () => (await service()).visit(visitors, act);
}

async function leftBy({ subject }: Stage, act: Act): Promise<Left> {
  const before = await collect(subject);
  await visits(act)();
  const after = await collectUntil(
    subject,
    (now) => now.timers <= before.timers && now.arrayBuffers - before.arrayBuffers < parcel.length,
  );
  return {
    timers: after.timers - before.timers,
    arrayBuffers: after.arrayBuffers - before.arrayBuffers,
  };
}

/** What clients leave who do nothing, which four promises are about. */
const leftByVisits = once(async () => leftBy(await service(), come));

/** Growth over some operations, after as many to warm up. */
async function grownBy(
  { subject }: Stage,
  operation: () => Promise<unknown>,
): Promise<Pick<HeapFigures, 'arrayBuffers' | 'heapUsed'>> {
  await repeat(operation)();
  const before = await collect(subject);
  await repeat(operation)();
  const after = await collect(subject);
  return { arrayBuffers: after.arrayBuffers - before.arrayBuffers, heapUsed: after.heapUsed - before.heapUsed };
}

async function sendsOfBroadcast({ subject }: Stage, clients: readonly Socket[]): Promise<number> {
  const sends = () => subject.evaluate((_kata, _args, kept) => kept.sends);
  const before = await sends();
  const heard = clients.map((client) => heardOf(client, 'broadcast', 1));
  clients[0]!.emit('broadcast', 'to all');
  await Promise.all(heard);
  return (await sends()) - before;
}

/**
 * The message of a promise: what was done, and, when it does not hold, who holds what after it was done once more.
 * That takes seconds, so it is told of the first broken promise alone, unless `KATA_EXPLAIN` is `all` or `none`.
 */
async function story(
  what: string,
  holds: boolean,
  again: () => Promise<unknown>,
  options?: HoldersOptions,
): Promise<string> {
  const explain = process.env.KATA_EXPLAIN ?? 'first';
  if (holds || !current?.subject.alive || explain === 'none' || (explained && explain === 'first')) return what;
  explained = true;
  const holders = await holdersAfter(current.subject, 'MemoryLeakGateway', again, options);
  return holders.length === 0 ? what : `held, as memlab finds it:\n${holdersText(holders)}\n${what}`;
}

function repeat(operation: () => Promise<unknown>): () => Promise<void> {
  return async () => {
    for (let time = 0; time < operations; time++) await operation();
  };
}

/** From now on, notes what a client hears. */
function recorder(client: Socket, events: readonly string[]): Record<string, unknown>[] {
  const heard: Record<string, unknown>[] = [];
  for (const event of events) client.on(event, (value: unknown) => void heard.push({ [event]: value }));
  return heard;
}

function sorted(heard: readonly object[]): string[] {
  return heard.map((one) => JSON.stringify(one)).sort();
}

function alive({ watched }: Pick<HeapFigures, 'watched'>, name: string): number {
  const { seen, collected } = watched[name] ?? { seen: 0, collected: 0 };
  return seen - collected;
}
