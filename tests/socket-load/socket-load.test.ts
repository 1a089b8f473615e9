import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { until } from '../../helpers/foundations/waiting/until.ts';
import { growthPerVisit } from '../../helpers/instruments/heap/churn.ts';
import { Explained } from '../../helpers/instruments/heap/explained.ts';
import { type HeapFigures, collect, collectUntil } from '../../helpers/instruments/heap/heap-figures.ts';
import type { HoldersOptions } from '../../helpers/instruments/heap/holders.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';
import { expectAtMost, expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/socket-load/socket-load.ts';
import type { Guest } from './crowd-process.ts';
import { ClientProcesses } from './crowd.ts';
import { type Client, HubServer } from './hub-server.ts';
import { costOfPublishing, holdClock, publishAround } from './inside.ts';
import type { RawClient } from './raw-client.ts';

const kB = 1024;
const MB = 1024 * kB;
const word = fc.string({ unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz'), minLength: 5, maxLength: 8 });
const drawn = drawOne(
  fc.record({
    words: fc.uniqueArray(word, { minLength: 10, maxLength: 10 }) as fc.Arbitrary<string[]>,
    keep: fc.integer({ min: 5, max: 9 }),
    keepMs: fc.integer({ min: 60_000, max: 120_000 }),
    maxBufferedBytes: fc.integer({ min: MB, max: MB + 100 * kB }),
  }),
);
const { keep, keepMs, maxBufferedBytes } = drawn;
const [red, blue, ann, bob, cleo, dan, text, hall, den, nook] = drawn.words as [
  string,
  string,
  string,
  string,
  string,
  string,
  string,
  string,
  string,
  string,
];

/** Sorted. */
const oddUsers = ['__proto__', 'constructor'];
/** What may stand between two names in a key that is made of them. */
const separators = ['', ':', '::', '/', '|', '-', '_', '.', ',', '#', '@', ' ', '\n', '\0'];
const crowdSize = 500;
const groupCount = 20;
/** Sockets on the small server whose cost of publishing is compared with that of the crowd. */
const fewSize = 10;
const manySize = 250;
/** Of them, those in the room that is published to. */
const roomSize = 3;
const largeBytes = 64 * kB;
/** What two clients that stop reading may cost, beside what the room keeps. */
const bufferLimit = 8 * MB;
/** What is published at most to clients that don't read; the system takes a few MB of it for each. */
const mostPublished = 40 * MB;
/** So many at once; four batches a second of the module's clock are 1 MB a second. */
const perBatch = 4;
const batchMs = 250;
const batchBytes = perBatch * largeBytes;
/** What a visitor may leave: less than the smallest object that something keeps of it. */
const visitLimit = 80;
const visitors = 16;
/** What two rooms may keep of their messages: several times as much as they have to. */
const keptLimit = MB;
/** By how much the cost of publishing may grow with the number of sockets, in per cent. Not at all, but for noise. */
const costLimit = 30;

const test = judge<typeof Kata>('socket-load', { furnish: holdClock })
  .extend('processes', { scope: 'file' }, ({}, { onCleanup }) => {
    const processes = new ClientProcesses();
    onCleanup(() => processes[Symbol.dispose]());
    return processes;
  })
  .extend('explained', { scope: 'file' }, () => new Explained('HubHost'))
  .extend('holders', ({ subject, explained }) => {
    return (isKept: boolean, again: () => Promise<unknown>, options: HoldersOptions = {}) =>
      explained.holders(subject, isKept, again, { prefer: /HubHost\.(hub|io)/, ...options });
  })
  // Each test opens servers of its own; they end with it. After a broken promise their process ends instead.
  .extend('open', async ({ subject, task }, { onCleanup }) => {
    const servers: HubServer[] = [];
    onCleanup(async () => {
      for (const server of servers) {
        if (task.result?.state === 'fail' || !subject.alive) server.disconnectAll();
        else await server.end();
      }
    });
    return async (options: Partial<Kata.HubOptions> = {}) => {
      const server = await HubServer.open(subject, { maxBufferedBytes, keep, keepMs, ...options });
      servers.push(server);
      return server;
    };
  });

describe('core', () => {
  test('500 clients must each get every message of their rooms, once and in order.', async ({ open, processes }) => {
    const server = await open();
    const crowd = await server.crowd(processes, guests(crowdSize));
    const groups = Array.from({ length: groupCount }, (_, group) => groupOf(group));
    const rounds = Array.from({ length: 6 }, (_, round) => `${text} ${round}`);

    for (const [round, one] of rounds.entries()) {
      const toGroups = groups.map((group) => [group, `${group} ${one}`] as const);
      // Two for all in one turn, and then one.
      await server.publish([hall, `${one} a`], ...toGroups, [hall, `${one} b`]);
      if (round % 3 === 0) await server.pass(1);
      await server.publish([hall, `${one} c`]);
    }
    await server.settle();
    const shares = await crowd.shares();

    const forAll = rounds.flatMap((one) => ['a', 'b', 'c'].map((part) => `${one} ${part}`));
    const what = `${crowdSize} clients joined a room for all and one of ${groupCount} groups; ${rounds.length} messages were published in each group, and ${forAll.length} for all`;
    for (const { rooms, messages, clients } of shares) {
      const [, group] = rooms as [string, string];
      const textsOf = (room: string) => messages.filter((message) => message.room === room).map((one) => one.text);
      expect(textsOf(hall), `${what}; ${clients} clients got of the room for all`).toEqual(forAll);
      expect(textsOf(group), `${what}; ${clients} clients got of their group`).toEqual(
        rounds.map((one) => `${group} ${one}`),
      );
      expectThat(
        messages.length === forAll.length + rounds.length,
        `${what}; ${clients} clients got ${messages.length} messages, some of other rooms`,
      );
      expectRising(messages, rooms);
    }
    expect(
      shares.reduce((sum, { clients }) => sum + clients, 0),
      'clients that were looked at',
    ).toBe(crowdSize);
  });

  test('Only the members of a room must get its messages.', async ({ open }) => {
    const server = await open();
    const inBoth = await server.member(ann, red, blue);
    const leaver = await server.member(bob, red, blue);
    const outside = await server.member(cleo);
    const again = await server.member(dan, red, red);
    const hasty = await server.rawMember(cleo, blue);
    hasty.send(['join', red, null], ['leave', red]);
    await server.settle();

    await server.publish([red, `${text} 1`], [blue, `${text} 2`], [leaver.id, `${text} 3`]);
    await inBoth.join(outside.id);
    await server.publish([outside.id, `${text} 8`]);
    await server.settle();
    await leaver.leave(red);
    await again.leave(red);
    await server.publish([red, `${text} 4`], [blue, `${text} 5`]);
    await server.settle();
    await again.join(red);
    await server.publish([red, `${text} 6`], [red.toUpperCase(), `${text} 7`]);
    await server.settle();

    const got = (client: Client | RawClient) => client.messages.map((message) => `${message.room}: ${message.text}`);
    const toRed = [1, 4, 6].map((number) => `${red}: ${text} ${number}`);
    const toBlue = [2, 5].map((number) => `${blue}: ${text} ${number}`);
    const toOutside = `${outside.id}: ${text} 8`;
    expect(
      got(inBoth).toSorted(),
      'a client is in two rooms, and later in one that is named like the socket id of another client; it got',
    ).toEqual([...toRed, ...toBlue, toOutside].toSorted());
    expect(
      got(leaver),
      'a client left the first room after a message in each, and one was published to the name that is its socket id; it got',
    ).toEqual([toRed[0], toBlue[0], toBlue[1]]);
    expect(
      got(outside),
      'a client is in no room, and one was published to a member of the room that is named like its socket id; it got',
    ).toEqual([]);
    expect(got(hasty), 'a client in the second room sent join and leave of the first in one go; it got').toEqual(
      toBlue,
    );
    expect(
      got(again),
      'a client joined a room twice, got a message, left, missed one, and joined as a newcomer; it got',
    ).toEqual([toRed[0], toRed[2]]);
  });

  test('members must list each user in a room once, also with several connections.', async ({ open }) => {
    const server = await open();
    const one = await server.member(ann, red);
    const two = await server.member(ann, red, blue);
    const other = await server.member(bob, blue);
    await server.member(cleo);
    for (const user of oddUsers) await server.member(user, den);
    (await server.rawMember(dan)).send(['join', nook, null], ['leave', nook]);
    const seen: string[][][] = [await server.members(red, blue, hall)];

    for (const act of [
      () => two.leave(red),
      () => two.leave(red),
      () => one.leave(red),
      () => other.join(red),
      () => other.join(red),
      () => other.leave(red),
      () => two.join(red),
    ]) {
      await act();
      await server.pass(1);
      seen.push(await server.members(red, blue, hall));
    }

    const blueNow = [ann, bob].toSorted();
    expect(
      seen.map(([inRed]) => inRed),
      'two clients of one user are in a room; the second leaves it twice, then the first leaves; another user joins twice and leaves; the second client joins; members after each',
    ).toEqual([[ann], [ann], [ann], [], [bob], [bob], [], [ann]]);
    expect(
      seen.map(([, inBlue]) => inBlue),
      'meanwhile members of another room with two users',
    ).toEqual(seen.map(() => blueNow));
    expect(
      seen.map(([, , inHall]) => inHall),
      'members of a room that nobody joined',
    ).toEqual(seen.map(() => []));
    expect(await server.members(den), 'members of a room with two users of strange names').toEqual([oddUsers]);
    expect(await server.members(nook), 'a client sent join and leave in one go; members').toEqual([[]]);

    // With the separator in between, two pairs of a room and a user read alike, and so do two of a user and a room.
    for (const between of separators) {
      const [front, back] = [`${ann}${between}${bob}`, `${bob}${between}${cleo}`];
      const rooms = [ann, front, cleo, back];
      const users = [back, cleo, front, ann];
      const clients = await server.connect(...users);
      for (const [at, client] of clients.entries()) await client.join(rooms[at]!);
      const steps = [await server.members(...rooms)];
      for (const [at, client] of clients.entries()) {
        await client.leave(rooms[at]!);
        await server.pass(1);
        steps.push(await server.members(...rooms));
      }
      const what = users.map((user, at) => `${JSON.stringify(user)} joined the room ${JSON.stringify(rooms[at])}`);
      expect(steps, `${what.join(', ')}; then each left in turn; members of the rooms before and after each`).toEqual(
        steps.map((_, gone) => users.map((user, at) => (at < gone ? [] : [user]))),
      );
    }
  });
});

describe('robust', () => {
  test('When connections break or end, members must be right.', async ({ open }) => {
    const server = await open();
    const annOnce = await server.member(ann, red, blue);
    const annAgain = await server.member(ann, red, blue);
    const breaks = await server.member(bob, red, blue, red);
    const saysGoodbye = await server.member(cleo, blue, red);
    await server.member(dan, red);
    const before = (await server.members(red, blue)).map(unique);

    breaks.break();
    saysGoodbye.disconnect();
    annOnce.break();
    await server.gone([breaks, saysGoodbye, annOnce]);
    const after = (await server.members(red, blue)).map(unique);
    annAgain.break();
    await server.gone([annAgain]);
    const atLast = (await server.members(red, blue)).map(unique);
    await server.member(bob, red);
    const back = (await server.members(red, blue)).map(unique);

    expect(before, 'four users joined a room, three of them another one; members').toEqual([
      [ann, bob, cleo, dan].toSorted(),
      [ann, bob, cleo].toSorted(),
    ]);
    expect(after, 'one user’s connection broke, one user said goodbye, one has a second connection; members').toEqual([
      [ann, dan].toSorted(),
      [ann],
    ]);
    expect(atLast, 'the second connection broke as well; members').toEqual([[dan], []]);
    expect(back, 'one came back to one room; members').toEqual([[bob, dan].toSorted(), []]);
  });

  test('A client that stops reading must be dropped; until then the process must buffer little for it.', async ({
    open,
    holders,
  }) => {
    const server = await open({ keep: perBatch });
    const reads = await server.member(ann, red);
    let count = 0;
    const publishBatch = async () => {
      await server.publishLarge({ room: red, from: count, count: perBatch, bytes: largeBytes });
      await reached(server, [reads], red, (count += perBatch));
    };

    const expectDropped = async (what: string, from = server) => {
      await from.pass(60_000);
      const { connections } = await from.counts();
      expectThat(connections <= 1, `${what}; a minute later ${connections - 1} of their connections were still there`);
      expect(await from.members(red, blue), `${what}; members of both rooms afterwards`).toEqual([[ann], []]);
    };
    const expectDroppedInFlood = async (sendBatch: () => Promise<void>, what: string) => {
      const { peak, megabytes } = await flood(server, sendBatch);
      const held = await holders(peak > bufferLimit, sendBatch);
      expectAtMost(
        peak,
        bufferLimit,
        `${held}${what}; ${megabytes} were due to them; in memory the process held up to`,
      );
      await expectDropped(what);
    };

    for (const user of [bob, cleo]) (await server.rawMember(user, red)).stopReading();
    await expectDroppedInFlood(publishBatch, 'two clients stopped reading while messages were published');

    await publishBatch();
    const asks = await server.rawMember(dan);
    const { last } = await asks.join(red);
    asks.stopReading();
    const askAgain = async () => {
      await server.request(asks, ['leave', red]);
      await publishBatch();
      await server.request(asks, ['join', red, last]);
    };
    await expectDroppedInFlood(askAgain, 'a client stopped reading, left and came back again and again');

    (await server.rawMember(dan, blue)).stopReading();
    await server.publishLarge({ room: blue, from: 0, count: 1, bytes: 16 * MB });
    await expectDropped('a client stopped reading, and one message of 16 MB was published to it');

    const other = await open();
    const listens = await other.member(ann, red);
    (await other.rawMember(bob, red)).stopReading();
    let sent = await publishUntilStuck(other, bob, listens);
    for (const end = sent + (1.3 * maxBufferedBytes) / largeBytes; sent < end;) {
      await other.publishLarge({ room: red, from: sent, count: 1, bytes: largeBytes });
      await reached(other, [listens], red, ++sent);
    }
    await expectDropped(
      'a client stopped reading, and nothing was published after 1.3 times maxBufferedBytes waited',
      other,
    );
  });

  test('While a client does not read, and when it is dropped, all others must get every message in order.', async ({
    open,
  }) => {
    const server = await open({ keep: 4 });
    const first = await server.member(ann, red, blue);
    const stops = await server.rawMember(bob, red, blue);
    const sameUser = await server.member(bob, blue, red);
    const elsewhere = await server.member(cleo, blue);
    stops.stopReading();

    const inRed: string[] = [];
    const inBlue: string[] = [];
    const large = 'x'.repeat(largeBytes);
    const isThere = async () => (await server.counts()).clients === 4;
    let others = 0;
    for (let sent = 0; sent < mostPublished && (others > 0 || (await isThere())); sent += perBatch * largeBytes) {
      const some = Array.from({ length: perBatch }, (_, at) => `${sent} ${at} ${text}`);
      await server.publish(...some.map((one) => [red, one + large] as const), [blue, `${sent} ${text}`]);
      inRed.push(...some.map((one) => one + large));
      inBlue.push(`${sent} ${text}`);
      await reached(server, [first, sameUser], red, inRed.length);
      await reached(server, [first, sameUser, elsewhere], blue, inBlue.length);
      await server.pass(batchMs);
      // It goes on for a little once the client is gone.
      if (!(await isThere()) && ++others === 2) break;
    }
    await server.settle();
    const members = (await server.members(red, blue)).map(unique);

    const what = `one client in two rooms stopped reading, and ${inRed.length} messages of 64 KB were published`;
    for (const [name, client] of Object.entries({ 'another user': first, 'the same user’s other client': sameUser })) {
      expect(client.textsOf(red).map(short), `${what}; ${name} got`).toEqual(inRed.map(short));
      expect(client.textsOf(blue), `${what}; ${name} got in the other room`).toEqual(inBlue);
    }
    expect(elsewhere.textsOf(blue), `${what}; a client that is in the other room only got`).toEqual(inBlue);
    expect(members, `${what}; members of both rooms`).toEqual([[ann, bob].toSorted(), [ann, bob, cleo].toSorted()]);
  });

  test('A client that reads on while little waits for it must stay, and must get every message.', async ({ open }) => {
    const server = await open();
    const reads = await server.member(ann, red);
    const pauses = await server.rawMember(bob, red);
    pauses.stopReading();

    let sent = await publishUntilStuck(server, bob, reads);
    for (const end = sent + 2_000; sent < end;) {
      await server.publishLarge({ room: red, from: sent, count: 500, bytes: 60 });
      await reached(server, [reads], red, (sent += 500));
    }
    await server.settle();
    const { clients } = await server.counts();
    pauses.goOn();
    await reached(server, [pauses], red, sent);
    await server.settle();

    const waited = 'a client stopped reading until about 400 KB waited for it, 2,000 short messages among them';
    expectThat(clients === 2, `${waited}; it was dropped`);
    const numbers = (client: Client | RawClient) => client.textsOf(red).map((one) => Number.parseInt(one, 10));
    const all = Array.from({ length: sent }, (_, number) => number);
    expect(numbers(reads), `${sent} messages were published; another client got`).toEqual(all);
    expect(numbers(pauses), `${waited}, and read on; of ${sent} messages it got`).toEqual(all);
  });

  test('Whatever a client sends, the hub must keep serving the others.', async ({ open }) => {
    const server = await open();
    const stays = await server.member(ann, red);
    const odd = await server.member(bob);
    const names: unknown[] = [undefined, null, 5, true, {}, [red], { toString: red }];
    for (const name of names) {
      odd.send('join', name, null);
      odd.send('leave', name);
    }
    odd.send('join');
    odd.send('leave');
    for (const after of ['x', {}, [], -1, 1.5, true]) odd.send('join', hall, after);
    odd.send('join', red, null, 'no function');
    await server.settle();
    odd.send('leave', red, 'no function');
    odd.send('leave', blue);
    for (const name of ['__proto__', 'constructor', 'toString', '']) {
      await odd.join(name);
      await server.publish([name, text]);
      await odd.leave(name);
    }
    odd.send('join', blue, null);
    // First all of it is heard, then it has its second.
    for (let times = 0; times < 2; times++) await server.settle();
    await server.publish([red, text], [blue, text]);
    const later = await server.member(cleo, red);
    await server.publish([red, `${text} 2`]);
    await server.settle();

    const what = 'a client sent join and leave with odd names, odd numbers, and no acknowledgment';
    expect(stays.textsOf(red), `${what}; another client got`).toEqual([text, `${text} 2`]);
    expect(later.textsOf(red), `${what}; a client that came later got`).toEqual([`${text} 2`]);
    expect(odd.textsOf(blue), `${what}, and joined a room properly; it got`).toEqual([text]);
    expect(
      odd.messages.filter(({ room }) => room !== blue).map(({ room }) => room),
      `${what}; rooms with strange names, of which it got a message while it was in them`,
    ).toEqual(['__proto__', 'constructor', 'toString', '']);
    expect(
      await server.members(red, blue, hall, '__proto__', '5', 'true', 'null'),
      `${what}; members of seven rooms`,
    ).toEqual([[ann, cleo].toSorted(), [bob], [], [], [], [], []]);
  });

  test('Clients, rooms, and messages that are no longer kept must leave nothing in memory.', async ({
    subject,
    open,
    holders,
  }) => {
    const server = await open();
    const stays = await server.member(ann, red);
    await expectToForgetMessages(server, stays, holders);
    let visit = 0;
    const comeAndGo = async () => {
      const prefix = `${text} ${visit++}`;
      const clients = await server.connect(...Array.from({ length: visitors }, (_, at) => `${prefix} user ${at}`));
      const rooms = clients.map((_, at) => `${prefix} room ${at}`);
      const joinSome = async (client: Client, room: string) => {
        client.send('join', `${room} refused`, text, () => undefined);
        await Promise.all([red, room, `${room} silent`, `${room} left`].map((one) => client.join(one)));
        await Promise.all([`${room} left`, `${room} never joined`].map((one) => client.leave(one)));
      };
      await Promise.all(clients.map((client, at) => joinSome(client, rooms[at]!)));
      const published = rooms.flatMap((room) => [room, `${room} left`, `${room} empty`]);
      await server.publish(...published.map((room) => [room, `${room} ${text}`] as const));
      await server.settle();
      const got = clients.map((client, at) => client.textsOf(rooms[at]!).length);
      expect(got, `${visitors} clients joined a room each; messages that each of them got of one`).toEqual(
        rooms.map(() => 1),
      );
      for (const [at, client] of clients.entries()) {
        if (at % 2 === 0) client.break();
        else client.disconnect();
      }
      await server.gone(clients);
      await server.pass(2 * keepMs);
      // Who tidies up on occasion has one.
      await server.publish(...Array.from({ length: 100 }, () => [red, text] as const));
      await stays.leave(red);
      await stays.join(red);
      await server.settle();
      stays.messages.length = 0;
    };

    const growth = await growthPerVisit({
      subject,
      cycle: comeAndGo,
      perCycle: visitors,
      warmUp: 9,
      cycles: 5,
      bytesOf: inMemory,
    });

    const held = await holders(growth > visitLimit, comeAndGo, { atLeast: visitors / 2 });
    expectAtMost(
      growth,
      visitLimit,
      `${held}5 times ${visitors} clients came, joined a room of their own, and left; in memory each left`,
    );
  });
});

describe('stretch', () => {
  test('The cost of publish must grow with its room, not with the number of sockets.', async ({
    subject,
    open,
    processes,
  }) => {
    const many = await open();
    const few = await open();
    await many.crowd(processes, guests(manySize - roomSize));
    await few.crowd(processes, guests(fewSize - roomSize));
    const users = Array.from({ length: roomSize }, (_, at) => `${ann} ${at}`);
    const inRoom: Client[] = [];
    for (const server of [many, few]) for (const user of users) inRoom.push(await server.member(user, red));

    const names = [few.name, many.name];
    const [rounds, perRound] = [11, 100];
    await subject.run(costOfPublishing, { names, room: red, rounds: 2, perRound, text });
    const [amongFew, amongMany] = await subject.run(costOfPublishing, { names, room: red, rounds, perRound, text });
    await Promise.all([many.settle(), few.settle()]);

    const got = new Set(inRoom.map((client) => client.messages.length));
    expect(
      [...got],
      `${perRound * (rounds + 2)} messages were published to ${roomSize} clients on each server; each got`,
    ).toEqual([perRound * (rounds + 2)]);
    const more = median(amongMany!.map((ms, at) => ms / amongFew![at]!)) - 1;
    expectAtMost(
      Math.max(0, more) * 100,
      costLimit,
      `publishing to a room of ${roomSize} clients was measured among ${fewSize} and among ${manySize} sockets; CPU time among many was higher by`,
      '%',
    );
  });

  test('A client that comes back in time must get what it missed, in order and nothing twice.', async ({ open }) => {
    const server = await open();
    const stays = await server.member(ann, red, blue, hall);
    const leaves = await server.member(bob, red, blue, hall);
    // These two get nothing before they leave: one joins before all messages, the other after some.
    const early = await server.member(dan);
    const joined = await early.join(hall);
    await server.publish([red, `${text} a`], [blue, `${text} b`], [red, `${text} c`]);
    await server.settle();
    const late = await server.member(cleo);
    const { last } = await late.join(red);
    leaves.break();
    late.disconnect();
    early.break();
    await server.gone([leaves, late, early]);
    // What pushes the first messages out of the room is much younger than they are.
    await server.pass(keepMs / 2);

    const missedRed = Array.from({ length: keep }, (_, at) => `${text} ${at}`);
    await server.publish(...missedRed.map((one) => [red, one] as const), [hall, `${text} h`]);
    await server.settle();
    await server.pass(keepMs - 10_000);
    const back = await server.member(bob);
    const live = Array.from({ length: 8 }, (_, at) => `${text} live ${at}`);
    await server.subject.run(publishAround, { name: server.name, room: hall, texts: live });
    const answers = [await back.join(hall, joined.last)];
    answers.push(await back.join(red, leaves.lastOf(red)!), await back.join(blue, leaves.lastOf(blue)!));
    const lateBack = await server.member(cleo);
    answers.push(await lateBack.join(red, last));
    await until(() => stays.textsOf(hall).length >= 1 + live.length);
    await server.publish([red, `${text} d`], [blue, `${text} e`]);
    await server.settle();

    // It leaves properly, after a message that it has got, and comes back twice.
    await back.leave(red);
    await server.publish([red, `${text} f`]);
    await server.settle();
    answers.push(await back.join(red, back.lastOf(red)!));
    await back.join(red, leaves.lastOf(red)!);
    await server.settle();

    const what = `a client left, and half of keepMs later missed ${keep} messages of the first room, none of the second, one of the third; it came back 10 s before they were too old`;
    expect(
      answers.map((answer) => answer?.complete),
      `${what}; complete of each join`,
    ).toEqual(answers.map(() => true));
    expect(back.textsOf(hall), `${what}, while eight were published around its join; of the third it got`).toEqual([
      `${text} h`,
      ...live,
    ]);
    expect(
      back.textsOf(red),
      `${what}, one was published live, it left, missed one, joined again, and joined once more; of the first it got`,
    ).toEqual([...missedRed, `${text} d`, `${text} f`]);
    expect(
      lateBack.textsOf(red),
      `a newcomer of the first room left before it got a message, missed ${keep}, and came back with last; it got`,
    ).toEqual([...missedRed, `${text} d`, `${text} f`]);
    expect(back.textsOf(blue), `${what}; of the second it got`).toEqual([`${text} e`]);
    await expectToRememberEmptyRooms(server);
    const all = [`${text} a`, `${text} c`, ...missedRed, `${text} d`, `${text} f`];
    expect(stays.textsOf(red), 'a client that stayed got of the first room').toEqual(all);
    expectRising(back.messages, [red, blue, hall]);
  });

  test('A client that missed more than its room keeps must be told so, and must get the rest.', async ({ open }) => {
    const server = await open();
    const stays = await server.member(ann, red, blue, hall, den, nook);
    const leaves = await server.member(bob, red, blue, hall, den, nook);
    const old = Array.from({ length: 3 * keep }, (_, at) => [hall, `${text} old ${at}`] as const);
    await server.publish(...old, [red, text], [blue, text], [den, text], [nook, text]);
    await server.settle();
    leaves.disconnect();
    await server.gone([leaves]);

    // One too many in the first room, two too old in the second, and nothing but one too old in the fourth.
    const numbered = Array.from({ length: keep + 1 }, (_, at) => `${text} ${at}`);
    await server.publish([blue, `${text} 1`], [blue, `${text} 2`], [den, `${text} missed`]);
    await server.pass(keepMs + 5_000);
    await server.publish(...numbered.map((one) => [red, one] as const), [blue, `${text} 3`], [blue, `${text} 4`]);
    await server.settle();
    const back = await server.member(bob);
    const answers = [await back.join(red, leaves.lastOf(red)!), await back.join(blue, leaves.lastOf(blue)!)];
    answers.push(await back.join(den, leaves.lastOf(den)!));
    await server.settle();

    // The third and the fifth room are empty for so long that nothing of them needs to be kept.
    await server.publish([hall, `${text} missed`], [nook, `${text} missed`]);
    for (const room of [hall, nook]) await stays.leave(room);
    await server.pass(3 * keepMs);
    await server.publish([red, text], [blue, text]);
    await server.pass(3 * keepMs);
    await stays.join(hall);
    await server.publish([hall, `${text} new 1`], [hall, `${text} new 2`]);
    await server.settle();
    answers.push(await back.join(hall, leaves.lastOf(hall)!), await back.join(nook, leaves.lastOf(nook)!));
    await server.settle();

    expect(
      answers.map((answer) => answer?.complete),
      `a client came back: it had missed ${keep + 1} messages of a room that keeps ${keep}; two too old of four; one too old and nothing else; one from before the room was empty for long, and two; the same and nothing else; complete of each join`,
    ).toEqual([false, false, false, false, false]);
    const rest = [...numbered.slice(1), text];
    expect(back.textsOf(red), `${keep + 1} messages were missed in a room that keeps ${keep}; it got`).toEqual(rest);
    const young = [`${text} 3`, `${text} 4`, text];
    expect(back.textsOf(blue), 'two missed messages were too old, two were not; it got').toEqual(young);
    expect(
      back.textsOf(hall),
      'a message was missed, then the room was empty for long, and two messages followed; it got',
    ).toEqual([`${text} new 1`, `${text} new 2`]);
    expect(
      [...back.textsOf(den), ...back.textsOf(nook)],
      'all missed messages of two rooms were too old; it got of them',
    ).toEqual([]);
  });
});

function groupOf(client: number): string {
  return `${blue} ${client % groupCount}`;
}

/** Each joins the room for all, and a group. A user has two clients. */
function guests(count: number): Guest[] {
  return Array.from({ length: count }, (_, at) => ({
    user: `${bob} ${Math.floor(at / 2)}`,
    rooms: [hall, groupOf(at)],
  }));
}

/** Two busy rooms, which nobody joins meanwhile: one with a member, one without. */
async function expectToForgetMessages(
  server: HubServer,
  stays: Client,
  holders: (isKept: boolean, again: () => Promise<unknown>) => Promise<string>,
): Promise<void> {
  const [batches, inBatch, bytes] = [40, 4, 16 * kB];
  let sent = 0;
  const publishBatch = async () => {
    for (const room of [red, blue]) await server.publishLarge({ room, from: sent, count: inBatch, bytes });
    await reached(server, [stays], red, (sent += inBatch));
  };
  const before = inMemory(await collect(server.subject));
  for (let batch = 0; batch < batches; batch++) await publishBatch();
  await server.settle();
  const grown = inMemory(await collect(server.subject)) - before;

  const held = await holders(grown > keptLimit, publishBatch);
  expectAtMost(
    Math.max(0, grown),
    keptLimit,
    `${held}${sent} messages of 16 KB were published in a room that keeps ${keep}, and as many in one that nobody joined; memory grew by`,
  );
  stays.messages.length = 0;
}

/** Rooms without members for less than keepMs, after they were empty once before. */
async function expectToRememberEmptyRooms(server: HubServer): Promise<void> {
  const half = keepMs / 2;
  const before = await server.member(cleo, nook);
  const { last } = await before.join(den);
  await server.publish([nook, `${text} i`]);
  await server.settle();
  const { seq } = before.messages.at(-1)!;
  await server.pass(keepMs - 10_000);
  before.break();
  await server.gone([before]);
  await server.pass(half);

  const again = await server.member(cleo);
  const answers = [await again.join(den, last), await again.join(nook, seq)];
  await server.pass(half - 20_000);
  again.break();
  await server.gone([again]);
  await server.publish([nook, `${text} j`]);
  await server.pass(20_000);
  await server.publish([den, `${text} k`], [nook, `${text} l`]);
  const atLast = await server.member(cleo);
  answers.push(await atLast.join(den, last), await atLast.join(nook, seq));
  await server.pass(keepMs + 10_000);
  await server.publish([den, `${text} m`], [nook, `${text} n`]);
  await server.settle();

  const what =
    'the only member of two rooms was twice away for less than keepMs; messages were published in the empty rooms';
  expect(
    answers.map((answer) => answer?.complete),
    `${what}; complete of each join`,
  ).toEqual(answers.map(() => true));
  const got = [again, atLast].map((client) => [client.textsOf(den), client.textsOf(nook)]);
  expect(got, `${what}; each time it got`).toEqual([
    [[], []],
    [
      [`${text} k`, `${text} m`],
      [`${text} j`, `${text} l`, `${text} n`],
    ],
  ]);
  expect(await server.members(den, nook), `${what}; members of both`).toEqual([[cleo], [cleo]]);
}

/** Fails when the numbers of a room's messages don't rise. */
function expectRising(messages: readonly Kata.Message[], rooms: readonly string[]): void {
  for (const room of rooms) {
    const numbers = messages.filter((message) => message.room === room).map(({ seq }) => seq);
    const isRising = numbers.every((seq, at) => Number.isSafeInteger(seq) && seq >= 1 && !(numbers[at - 1]! >= seq));
    expectThat(
      isRising,
      `the seq of a room’s messages must be whole numbers from 1 on that rise; they were ${numbers.join(', ')}`,
    );
  }
}

/**
 * Publishes in the red room until a user who does not read keeps 128 KB waiting; whatever the module does with them, what the system has
 * not taken waits. Returns the number of messages.
 */
async function publishUntilStuck(server: HubServer, user: string, reads: Client): Promise<number> {
  let sent = 0;
  const isStuck = async () => sent * largeBytes - ((await server.takenBytes(user)) ?? 0) > 2 * largeBytes;
  for (let stuck = 0; stuck < 2 && sent * largeBytes < mostPublished; stuck = (await isStuck()) ? stuck + 1 : 0) {
    await server.publishLarge({ room: red, from: sent, count: 1, bytes: largeBytes });
    await reached(server, [reads], red, ++sent);
  }
  return sent;
}

/** Waits until these clients have got so many messages of the room, or never will. */
async function reached(
  server: HubServer,
  clients: readonly (Client | RawClient)[],
  room: string,
  count: number,
): Promise<void> {
  const isThere = await until(async () => {
    if (clients.every((client) => client.textsOf(room).length >= count)) return true;
    await server.pass(5);
    return false;
  });
  const counts = clients.map((client) => client.textsOf(room).length);
  expectThat(isThere, `${count} messages were published in a room; clients that read got ${counts.join(', ')} of them`);
}

/** Sends batches to clients that do not read, until one client is left. Returns the most memory that the process held meanwhile. */
async function flood(
  server: HubServer,
  sendBatch: () => Promise<void>,
): Promise<{ readonly peak: number; readonly megabytes: string }> {
  const before = inMemory(await collect(server.subject));
  let [peak, batches] = [0, 0];
  while (batches * batchBytes < mostPublished && peak <= 2 * bufferLimit && (await server.counts()).clients > 1) {
    await sendBatch();
    const held = (now: HeapFigures) => inMemory(now) - before;
    await server.pass(batchMs);
    if (++batches % 4 === 0) peak = Math.max(peak, held(await collectUntil(server.subject, () => true)));
  }
  return { peak, megabytes: `${Math.round((batches * batchBytes) / MB)} MB` };
}

function inMemory({ heapUsed, arrayBuffers }: HeapFigures): number {
  return heapUsed + arrayBuffers;
}

/** That members lists a user once is a promise of its own. */
function unique(names: readonly string[]): string[] {
  return [...new Set(names)];
}

function short(long: string): string {
  return long.replace(/x+$/, '');
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
