import { describe, expect } from 'vitest';
import { growthPerVisit } from '../../helpers/instruments/heap/churn.ts';
import { type HeapFigures, collect, collectUntil } from '../../helpers/instruments/heap/heap-figures.ts';
import { Explained } from '../../helpers/instruments/heap/explained.ts';
import type { HoldersOptions } from '../../helpers/instruments/heap/holders.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { chart } from '../../helpers/judging/verdict/chart.ts';
import { expectAtMost, expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/memory-leak/memory-leak.ts';
import { drawn } from './drawn.ts';
import { type Act, type Client, GatewayServer, type ServerOptions } from './gateway-server.ts';
import { holdClock } from './inside.ts';

const { intervals, numbers, sections } = drawn;
/** Topics that are called like something else. */
const oddTopics = ['online', 'constructor', '__proto__'];
const renewed = 'ended and begun again';
const { prices, news, text, toAll, toYou, tooLate, notice } = drawn.words;
const longestMs = Math.max(...Object.values(intervals));

const kB = 1024;
const MB = 1024 * kB;
const visitors = 10;
const largestDraft = 512 * kB;
/** Each of these clients leaves a draft of half the largest size: 8 MB. An answer may keep four drafts of full size for reuse: 2 MB. */
const writers = 32;
const draftsLimit = 5 * MB;
/** What a client sends of its own, as notes and as a filter. */
const parcel = new Uint8Array(128 * kB).fill(7);
const sitters = 20;
/** Half of what the notes or the filters alone amount to is above it. */
const parcelsLimit = 1 * MB;
const historyLimit = 1000;
/** More messages than a gateway may keep. */
const crowd = 2500;
/** A message of 1 kB leaves more than twice this when all are kept. */
const messageLimit = 500;
/** What a computation, a report or a visit may leave: less than the smallest object that something keeps of it. */
const smallestLeak = 80;

/** The product in the formula of the sum is too large for an exact number, while the sum is not. */
const largeSize = 208_066;

const test = judge<typeof Kata>('memory-leak', { furnish: holdClock })
  .extend('explained', { scope: 'file' }, () => new Explained('MemoryLeakGateway'))
  // Each test opens servers of its own; they end with it. After a broken promise their process ends instead.
  .extend('open', async ({ subject, task }, { onCleanup }) => {
    const servers: GatewayServer[] = [];
    onCleanup(async () => {
      for (const server of servers) {
        if (task.result?.state === 'fail' || !subject.alive) server.disconnectAll();
        else await server.end();
      }
    });
    return async (options: Omit<ServerOptions, 'intervals'> = {}) => {
      const server = await GatewayServer.open(subject, { intervals, ...options });
      servers.push(server);
      return server;
    };
  })
  .extend('holders', ({ subject, explained }) => {
    return (isKept: boolean, again: () => Promise<unknown>, options?: HoldersOptions) =>
      explained.holders(subject, isKept, again, options);
  });

describe('core', () => {
  test('get_memory_stats must count the connected clients, the history, and the messages of the last full minute.', async ({
    open,
    holders,
  }) => {
    const server = await open();
    const [stays] = await server.connect(1);
    const say = (count: number) => {
      for (let n = 0; n < count; n++) stays!.send('message', text);
    };
    const [first, second] = drawn.messages;

    await server.visit(visitors, come);
    await server.pass(30_000);
    say(first);
    await server.pass(30_000);
    const afterOne = await stays!.ask<Kata.MemoryStats>('get_memory_stats');
    await server.pass(30_000);
    say(second);
    await server.pass(30_000);
    const afterTwo = await stays!.ask<Kata.MemoryStats>('get_memory_stats');
    await server.pass(60_000);
    const afterThree = await stays!.ask<Kata.MemoryStats>('get_memory_stats');
    say(first);
    // Nobody says or asks anything for three minutes.
    await server.pass(180_000);
    const afterSilence = await stays!.ask<Kata.MemoryStats>('get_memory_stats');
    await server.pass(20_000);
    for (let said = 0; said < crowd; said += crowd / 5) {
      say(crowd / 5);
      await server.settle();
    }
    await server.pass(30_000);
    const afterCrowd = await stays!.ask<Kata.MemoryStats>('get_memory_stats');
    await server.leave([stays!]);
    await server.pass(180_000);
    const [next] = await server.connect(1);
    const afterAbsence = await next!.ask<Kata.MemoryStats>('get_memory_stats');

    const again = () => server.visit(visitors, come);
    const held = await holders(afterOne.sessions !== 1, again, { prefer: /session/i });
    expect(afterOne.sessions, `${held}one client stayed, ${visitors} came and left; sessions`).toBe(1);
    const figures = [afterOne, afterTwo, afterThree];
    expect(
      figures.map(({ messagesPerMinute }) => messagesPerMinute),
      `${first} messages in the first minute, ${second} in the second, none in the third; messagesPerMinute after each`,
    ).toEqual([first, second, 0]);
    expect(
      figures.map(({ history }) => history),
      `${first} messages in the first minute, ${second} in the second, none in the third; history after each`,
    ).toEqual([first, first + second, first + second]);
    expect(
      afterSilence.messagesPerMinute,
      `${first} messages, and then nothing at all for three minutes; messagesPerMinute`,
    ).toBe(0);
    expect(afterCrowd.messagesPerMinute, `${crowd} messages in the last minute; messagesPerMinute`).toBe(crowd);
    expect(
      afterAbsence.messagesPerMinute,
      `${crowd} messages, and then three minutes without any client; messagesPerMinute`,
    ).toBe(0);
  });

  test('When clients leave, all of their timers must end, including those of their subscriptions.', async ({
    open,
    holders,
  }) => {
    const server = await open();
    await server.connect(1);
    const comeAndGo = async () => {
      const clients = await server.connect(visitors);
      for (const client of clients) for (const topic of [prices, news, prices]) client.send('subscribe_updates', topic);
      await expectTicks(server, clients);
      await server.leave(clients);
    };

    const before = await collect(server.subject);
    await comeAndGo();
    const after = await collect(server.subject);

    const left = after.timers - before.timers;
    const held = await holders(left > 0, comeAndGo, { of: ['Timeout'] });
    expectThat(
      left <= 0,
      `${held}${visitors} clients came, subscribed to one topic and twice to another, and left; ${left} timers of theirs are left`,
    );
  });

  test('A draft must come back whole, to its owner only, and must be gone when its owner has left.', async ({
    open,
    holders,
  }) => {
    const server = await open();
    const [kept, others, own] = drawn.bytes;
    const whole = Uint8Array.from({ length: largestDraft }, (_, at) => (at % 251) ^ kept);
    const [stays] = await server.connect(1);
    stays!.send('save_draft', whole);
    await server.settle();
    const firstBytes = async (client: Client) => describeBytes(await client.ask<Uint8Array>('get_draft', 1000));
    const write: Act = async (client) => {
      client.send('save_draft', new Uint8Array(largestDraft / 2).fill(others));
      expect(await firstBytes(client), 'a client saved a draft; its first 1000 bytes').toBe(`1000 x ${others}`);
    };

    const before = await collect(server.subject);
    await server.visit(writers, write);
    const bytesLeft = (now: HeapFigures) => inMemory(now) - inMemory(before);
    const after = bytesLeft(await collectUntil(server.subject, (now) => bytesLeft(now) < draftsLimit / 2));
    // These may get what an answer keeps for reuse.
    const newcomers = await server.connect(4);
    const untouched = await Promise.all(newcomers.map(firstBytes));
    for (const client of newcomers) client.send('save_draft', new Uint8Array([own]));
    const touched = await Promise.all(newcomers.map(firstBytes));
    const returned = await stays!.ask<Uint8Array>('get_draft', largestDraft);

    const what = `${writers} clients saved bytes of ${others} and left, 4 others came; the first 1000 bytes of the others’ drafts`;
    expect(untouched, what).toEqual(newcomers.map(() => '1000 x 0'));
    expect(touched, `${what} after each of them saved one byte`).toEqual(newcomers.map(() => `1 x ${own}, 999 x 0`));
    expectThat(
      Buffer.compare(Buffer.from(returned ?? []), whole) === 0,
      `a client who stayed saved a draft of ${largestDraft} bytes and got ${returned?.length ?? 0} bytes back; they must be the same`,
    );
    const again = () => server.visit(visitors, write);
    const held = await holders(after > draftsLimit, again, { prefer: /draft|Buffer/ });
    expectAtMost(
      after,
      draftsLimit,
      `${held}${writers} clients saved drafts of ${largestDraft / 2 / kB} KB and left; in memory they left`,
    );
  });

  test('When clients leave, their listeners must be removed from the bus; those of other parts must stay.', async ({
    open,
    holders,
  }) => {
    const server = await open({ isBusShared: true });
    const [stays] = await server.connect(1);

    const before = await server.counts();
    await server.visit(visitors, subscribe);
    const after = await server.counts();
    await server.announce(notice);
    const { heardElsewhere } = await server.counts();
    const heard = stays!.heard('announcement');
    await server.closeGateway();
    const closed = await server.counts();

    const shared = 'Another part of the application has 2 listeners on this bus';
    expect(heard, `${visitors} clients came and left; announcements that a client who stayed heard`).toEqual([notice]);
    expect(
      heardElsewhere,
      `${shared}. ${visitors} clients came and left; announcements that each of the 2 heard`,
    ).toEqual([[notice], [notice]]);
    expect(closed.otherListeners, `${shared}. The gateway was closed; listeners of the other part`).toBe(2);
    const left = after.gatewayListeners - before.gatewayListeners;
    const again = () => server.visit(visitors, come);
    const held = await holders(left > 0, again, { prefer: /bus/ });
    expectThat(left <= 0, `${held}${visitors} clients came and left; ${left} listeners of theirs are on the bus`);
  });

  test('Clients who stay must keep getting heartbeats, the number online, and updates of exactly their topics.', async ({
    open,
  }) => {
    const server = await open();
    // For a moment nobody is there.
    await server.visit(visitors, subscribe);
    const [one, other, third] = (await server.connect(3)) as [Client, Client, Client];
    for (const topic of [prices, news, news]) one.send('subscribe_updates', topic);
    for (const topic of [news, one.id, renewed]) other.send('subscribe_updates', topic);
    other.send('unsubscribe_updates', renewed);
    other.send('subscribe_updates', renewed);
    for (const topic of ['heartbeat', ...oddTopics, news, news]) third.send('subscribe_updates', topic);
    await server.visit(visitors, subscribe);

    one.send('unsubscribe_updates', news);
    for (const topic of ['heartbeat', news, news]) third.send('unsubscribe_updates', topic);
    await server.settle();
    for (const client of [one, other, third]) client.forget();
    const passedMs = 5 * longestMs;
    await server.pass(passedMs);

    const often = (ms: number) => Math.floor(passedMs / ms);
    for (const [client, topics, what] of [
      [one, [prices], 'a client subscribed to two topics, one of them twice, and ended that one'],
      [
        other,
        [news, one.id, renewed],
        'a client subscribed to one topic, which two others then ended for themselves, to one called like the first client’s id, and to one that it ended and began again',
      ],
      [
        third,
        oddTopics,
        `a client subscribed to topics called heartbeat, ${oddTopics.join(', ')} and twice to another, ended the first, and twice the last`,
      ],
    ] as [Client, string[], string][]) {
      const updates = client.heard<Kata.Update>('update');
      expectAbout(client.heard('heartbeat').length, often(intervals.heartbeatMs), 'heartbeats that a client heard');
      expectAbout(client.heard('online').length, often(intervals.onlineMs), 'times that a client heard online');
      for (const topic of topics)
        expectAbout(
          updates.filter((update) => update.topic === topic).length,
          often(intervals.updateMs),
          `${what}; updates that it heard of ${topics.length === 1 ? 'its topic' : `topic ${topic}`}`,
        );
      expect(
        updates.filter((update) => !topics.includes(update.topic)),
        `${what}; updates that it heard of other topics`,
      ).toEqual([]);
      expect(client.heard('heartbeat').at(-1), 'a heartbeat').toEqual({ at: expect.any(Number) });
      expect(updates.at(-1), 'an update').toEqual({ topic: expect.any(String), at: expect.any(Number) });
      expect(
        client.heard('online').at(-1),
        `${visitors} came and left, three came and stayed, ${visitors} came and left; online`,
      ).toBe(3);
    }
  });

  test('Messages, broadcasts, direct messages and announcements must reach each recipient exactly once.', async ({
    open,
  }) => {
    const server = await open();
    const early = await server.connect(1);
    const earlyId = early[0]!.id;
    const clients = await server.connect(5);
    const [one, two] = clients as [Client, Client];
    await server.visit(visitors, come);
    await server.leave(early);

    one.send('direct', earlyId, tooLate);
    await server.settle();
    one.send('message', text);
    two.send('broadcast', toAll);
    one.send('direct', two.id, toYou);
    await server.announce(notice);

    for (const [at, client] of clients.entries()) {
      const what = `5 clients stayed, ${visitors + 1} left; what client ${at + 1} heard as`;
      expect(client.heard('message'), `${what} message`).toEqual([{ from: one.id, text }]);
      expect(client.heard('broadcast'), `${what} broadcast`).toEqual([toAll]);
      expect(client.heard('announcement'), `${what} announcement`).toEqual([notice]);
      expect(
        client.heard('direct'),
        `client 1 sent direct messages to client 2 and to one who had left; ${what} direct`,
      ).toEqual(client === two ? [{ from: one.id, text: toYou }] : []);
    }
  });
});

describe('robust', () => {
  test('get_history must return the last 1,000 messages in order; the gateway must not keep more than 2,000.', async ({
    open,
    holders,
  }) => {
    const server = await open();
    const [client] = (await server.connect(1)) as [Client];
    let sent = 0;
    const say = async (count: number) => {
      for (const end = sent + count; sent < end; sent++) client.send('message', textOf(sent));
      await server.settle();
      client.forget();
    };
    const history = async () => describeHistory(await client.ask<Kata.Message[]>('get_history'), client.id);

    await say(3);
    const early = await history();
    const perCycle = historyLimit / 2;
    const cycle = () => say(perCycle);
    const growth = await growthPerVisit({ subject: server.subject, cycle, perCycle, warmUp: 4, cycles: 4 });
    const late = await history();

    expect(early, '3 messages were sent; get_history').toBe('3 messages: 0 to 2');
    expect(late, `${sent} messages were sent; get_history`).toBe(
      `1000 messages: ${sent - historyLimit} to ${sent - 1}`,
    );
    const held = await holders(growth > messageLimit, cycle, { prefer: /history|message/i });
    expectAtMost(growth, messageLimit, `${held}after 2,000 messages of 1 KB, each further one left in memory`);
  });

  test('Computations and reports must return the right numbers, and must leave nothing in memory.', async ({
    open,
    holders,
  }) => {
    const server = await open();
    const [client] = (await server.connect(1)) as [Client];
    let asked = 0;
    // Each computation has a size of its own. Two that follow each other have the same sum of sizes, so that a few kept ones do not grow.
    const compute = async () => {
      for (let n = 0; n < 10; n++, asked++) {
        const size = numbers + (asked % 2 === 0 ? 1 : -1) * Math.ceil((asked + 1) / 2);
        const sum = await client.ask<number>('heavy_computation', size);
        expect(sum, `heavy_computation of ${size}`).toBe(((size - 1) * size * (2 * size - 1)) / 6);
      }
      await server.settle();
    };
    const report = async () => {
      for (let n = 0; n < 10; n++) await client.ask('build_report', 2);
      await server.settle();
    };

    const large = await client.ask<number>('heavy_computation', largeSize);
    expect(large, `heavy_computation of ${largeSize}`).toBe(sumOfSquares(largeSize));

    // After a broken promise the process is new, and the engine has not settled in it.
    const rounds = { subject: server.subject, perCycle: 10, warmUp: 10, cycles: 6, bytesOf: inMemory };
    const perComputation = await growthPerVisit({ ...rounds, cycle: compute });
    const totals = await client.ask<number[]>('build_report', sections);
    const perReport = await growthPerVisit({ ...rounds, cycle: report });

    expect(totals, `build_report of ${sections} sections`).toEqual(
      Array.from({ length: sections }, (_, n) => (n + 1) * 499_500),
    );
    const heldByComputations = await holders(perComputation > smallestLeak, compute, {
      prefer: /function|Float64Array/,
    });
    expectAtMost(
      perComputation,
      smallestLeak,
      `${heldByComputations}${asked} computations; in memory each of them left`,
    );
    const heldByReports = await holders(perReport > smallestLeak, report, { prefer: /function/ });
    expectAtMost(perReport, smallestLeak, `${heldByReports}reports of 2 sections; in memory each of them left`);
  });

  test('get_seats and get_recent_updates must be right; a client’s notes and filters must be gone when it has left.', async ({
    open,
    holders,
  }) => {
    const server = await open();
    const [stays] = (await server.connect(1)) as [Client];
    stays.send('take_seat', parcel);
    const sit = async () => {
      const clients = await server.connect(sitters);
      for (const client of clients) {
        for (let times = 0; times < 2; times++) client.send('take_seat', parcel);
        client.send('request_update', { topic: prices, filter: parcel });
      }
      await server.settle();
      const seats = await stays.ask<string[]>('get_seats');
      const heard = clients.map((client) => client.heard<Kata.Update>('update'));
      const ids = clients.map(({ id }) => id);
      await server.leave(clients);
      return { seats, heard, ids };
    };

    // The first visit fills what an answer keeps for reuse. The second tells what clients leave who send nothing.
    await server.visit(sitters, come);
    const start = inMemory(await collect(server.subject));
    await server.visit(sitters, come);
    const before = inMemory(await collect(server.subject));
    const { seats, heard, ids } = await sit();
    const bytesLeft = (now: HeapFigures) => inMemory(now) - before - Math.max(0, before - start);
    const after = bytesLeft(await collectUntil(server.subject, (now) => bytesLeft(now) < parcelsLimit / 2));
    const seatsAfter = await stays.ask<string[]>('get_seats');
    const topics = Array.from({ length: 95 }, (_, n) => `${news} ${n}`);
    for (const topic of topics) stays.send('request_update', { topic, filter: new Uint8Array(1) });
    const recent = await stays.ask<Kata.Update[]>('get_recent_updates');

    const update = { topic: prices, at: expect.any(Number) };
    expect(heard, `${sitters} clients requested an update; what each heard`).toEqual(ids.map(() => [update]));
    expect(seats.toSorted(), `${sitters + 1} clients took a seat, most of them twice; get_seats`).toEqual(
      [stays.id, ...ids].toSorted(),
    );
    expect(seatsAfter, 'all but one of them left; get_seats').toEqual([stays.id]);
    const requests = `${sitters} clients requested an update each and left, another one requested ${topics.length}`;
    expect(recent.length, `${requests}; of the last 100 of all clients, get_recent_updates has`).toBe(100);
    expect(
      recent.map(({ topic }) => topic),
      `${requests}; topics of get_recent_updates`,
    ).toEqual([...Array.from({ length: 100 - topics.length }, () => prices), ...topics]);
    expect(recent.at(-1), 'the last of get_recent_updates').toEqual({ topic: topics.at(-1), at: expect.any(Number) });
    const held = await holders(after > parcelsLimit, sit, { prefer: /seat|note|chair|update|request|filter/i });
    expectAtMost(
      after,
      parcelsLimit,
      `${held}${sitters} clients sent notes of 128 KB, twice, and a filter of 128 KB, and left; in memory they left`,
    );
  });

  test('When clients have left, nothing must hold their sockets.', async ({ open, holders }) => {
    const server = await open();
    const sockets = (now: HeapFigures) => stillHeld(now, `sockets of ${server.name}`);
    const comeAndGo = async () => {
      const clients = await server.connect(visitors);
      for (const client of clients) client.send('direct', client.id, toYou);
      await server.settle();
      for (const client of clients)
        expect(client.heard('direct'), 'a client sent a direct message to itself; what it heard').toEqual([
          { from: client.id, text: toYou },
        ]);
      await server.leave(clients);
    };

    await comeAndGo();
    const left = sockets(await collectUntil(server.subject, (now) => sockets(now) === 0));

    const held = await holders(left > 0, comeAndGo, { of: ['Socket'] });
    expectThat(left === 0, `${held}${visitors} clients came and left; ${left} of their sockets are still held`);
  });
});

describe('stretch', () => {
  test('A client that comes and leaves must leave less than 80 bytes on the heap.', async ({ open, holders }) => {
    const server = await open();
    const comeAndGo = () => server.visit(20, subscribe);

    const growth = await growthPerVisit({
      subject: server.subject,
      cycle: comeAndGo,
      perCycle: 20,
      warmUp: 8,
      cycles: 6,
      onHeap: chartOfHeap(),
    });

    const held = await holders(growth > smallestLeak, comeAndGo);
    expectAtMost(growth, smallestLeak, `${held}6 times 20 clients came, subscribed and left; on the heap each left`);
  });

  test('After close(), the gateway must hold no timer and no listener, and nothing must hold the gateway.', async ({
    subject,
    open,
  }) => {
    const start = await collect(subject);
    const bare = await open({ hasGateway: false });
    const guests = await bare.connect(2);
    const timersOfClients = (await collect(subject)).timers - start.timers;
    await bare.leave(guests);
    const before = await collect(subject);

    const server = await open();
    const clients = await server.connect(2);
    for (const client of clients) client.send('subscribe_updates', prices);
    await expectTicks(server, clients);
    await server.announce(notice);
    const heard = clients.map((client) => client.heard('announcement'));
    await server.closeGateway();
    const gateways = (now: HeapFigures) => stillHeld(now, `gateway of ${server.name}`);
    const after = await collectUntil(subject, (now) => gateways(now) === 0);
    const { gatewayListeners } = await server.counts();

    const what = 'a gateway was closed while two clients were connected';
    expect(heard, 'two clients were connected; announcements that each heard').toEqual([[notice], [notice]]);
    const timers = after.timers - before.timers - timersOfClients;
    expectThat(timers <= 0, `${what}; ${timers} timers of the gateway are left`);
    expectThat(gatewayListeners === 0, `${what}; ${gatewayListeners} listeners of the gateway are left on the bus`);
    expectThat(gateways(after) === 0, `${what}; something that lives on still holds the gateway`);
  });
});

/** A client that comes and does nothing. */
function come(): void {}

function subscribe(client: Client): void {
  for (const topic of [prices, news]) client.send('subscribe_updates', topic);
}

/** Lets the longest interval pass. Each client, subscribed to something, must hear all that comes by itself. */
async function expectTicks(server: GatewayServer, clients: readonly Client[]): Promise<void> {
  await server.pass(longestMs);
  for (const client of clients) {
    for (const event of ['heartbeat', 'online', 'update'])
      expectThat(
        client.heard(event).length > 0,
        `a client came and subscribed; one interval later it had heard no ${event}`,
      );
  }
}

/** How often something ticks depends on when it began. */
function expectAbout(seen: number, expected: number, what: string): void {
  expectThat(Math.abs(seen - expected) <= 2, `${what}: ${seen}; expected ${expected}, give or take two`);
}

function inMemory({ heapUsed, arrayBuffers }: HeapFigures): number {
  return heapUsed + arrayBuffers;
}

/** How many of the objects watched under this name have not been collected. */
function stillHeld({ watched }: HeapFigures, name: string): number {
  const { seen, collected } = watched[name] ?? { seen: 0, collected: 0 };
  return seen - collected;
}

/** For example `1 x 7, 999 x 0`. */
function describeBytes(bytes: Uint8Array | undefined): string {
  if (!bytes) return 'nothing';
  const runs: { byte: number; count: number }[] = [];
  for (const byte of bytes) {
    if (runs.at(-1)?.byte === byte) runs.at(-1)!.count++;
    else runs.push({ byte, count: 1 });
  }
  const words = runs.slice(0, 4).map(({ byte, count }) => `${count} x ${byte}`);
  return [...words, ...(runs.length > 4 ? ['…'] : [])].join(', ');
}

/** For example `1000 messages: 2003 to 3002`; names the first message that is not as it was sent, or not in order. */
function describeHistory(history: readonly Kata.Message[], from: string): string {
  const sent = history.map((message) => Number.parseInt(message.text, 10));
  const wrong = history.findIndex(
    (message, at) => message.from !== from || message.text !== textOf(sent[at]!) || sent[at] !== sent[0]! + at,
  );
  if (wrong >= 0) return `${history.length} messages; number ${wrong + 1} of them is not the one that was sent there`;
  return `${history.length} messages: ${sent[0]} to ${sent.at(-1)}`;
}

/** A message of 1 KB. */
function textOf(number: number): string {
  return `${number} `.padEnd(kB, text);
}

/** The heap over cycles of clients, beside what it would be at the limit; whoever listens to this draws. */
function chartOfHeap(): (cycle: number, bytes: number) => void {
  const [heap, atLimit] = [[], []] as [number, number][][];
  chart({
    title: 'Heap over cycles of 20 clients that come and leave',
    unit: 'kB more than before the first',
    xLabel: 'cycles',
    series: [
      { name: 'on the heap', points: heap! },
      { name: 'with 80 bytes left by each client', points: atLimit! },
    ],
  });
  let before = 0;
  return (cycle, bytes) => {
    if (cycle === 0) before = bytes;
    heap!.push([cycle, (bytes - before) / kB]);
    atLimit!.push([cycle, (cycle * 20 * smallestLeak) / kB]);
  };
}

function sumOfSquares(size: number): number {
  let sum = 0;
  for (let n = 0; n < size; n++) sum += n * n;
  return sum;
}
