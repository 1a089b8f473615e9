import { describe, expect } from 'vitest';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { explore } from '../../helpers/instruments/mysql/schedule-explorer.ts';
import { expectAtMost, expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/cache-stampede/cache-stampede.ts';
import { type CacheProcess, Pair } from './cache-process.ts';
import { callers, longKeys, maxKeys, missingMs, newKey, newValue, oddKeys, staleMs, startMs, ttlMs } from './drawn.ts';
import { type Outcome, askThroughout, keysInMemory, loadLarge } from './inside.ts';

const settings = { ttlMs, staleMs, missingMs, maxKeys: 10_000 };
/** A value loaded at the start is stale from here on, and expired from there on. */
const [staleAt, expiredAt] = [startMs + ttlMs, startMs + ttlMs + staleMs];
/** Moments that are stale or expired by a wide margin, for promises that are not about the border. */
const [longStale, longExpired] = [staleAt + 1_000, expiredAt + 1_000];
/** More callers than the pool has connections. */
const crowd = 20;
const megabyte = 1024 * 1024;
/** What a process may hold for 100 keys of 64 KB of which it may keep a few. */
const heldLimit = 2 * megabyte;
/** How keys begin that are loaded in the same millisecond. */
const falling = [...'zyxwvutsrqponm'].slice(0, maxKeys + 3);

const test = judge<typeof Kata>('cache-stampede', { spares: 1 })
  .extend('pairOfFile', { scope: 'file' }, ({ database, subjects }, { onCleanup }) => {
    const pair = new Pair(database, subjects);
    onCleanup(() => pair.end());
    return pair;
  })
  // After a promise that fails, the next test gets new processes.
  .extend('pair', async ({ pairOfFile, task }, { onCleanup }) => {
    onCleanup(async () => {
      if (task.result?.state === 'fail') await pairOfFile.end();
    });
    return pairOfFile;
  });

describe('core', () => {
  test('However many callers ask for a key at once, load must be called once, and all must get its value.', async ({
    pair,
  }) => {
    const [a] = await pair.begin(settings, startMs);
    const [key, value] = [newKey(), newValue()];
    await a.ask(key, callers);
    await a.isLoading(key, `${callers} callers asked for a key`);
    await a.ask(key, 2);
    await a.rest();
    expect(await a.loads(key), `load calls while ${callers} callers and 2 late ones wait for one key`).toBe(1);
    // What the module does first with the value has to wait, and more callers come.
    const hold = a.proxy.holdCommand(1, 'before');
    await a.endLoad(key, value);
    await a.rest();
    await a.ask(key, 2);
    await a.rest();
    hold.release();
    const outcomes = await a.settled(key, callers + 4, 'load returned a value');
    await a.rest();
    expect(await a.loads(key), 'load calls when 2 more came after it, before the value was stored').toBe(1);
    expect(outcomes, 'what they got').toEqual(outcomes.map(() => value));

    const [busyKey, busyValue] = [newKey(), newValue()];
    await a.subject.run(askThroughout, { key: busyKey, outcome: busyValue });
    await a.rest();
    const seen = await a.settled(busyKey, 21, 'a caller came in each turn, before, during and after a load');
    expect(await a.loads(busyKey), 'load calls for a key that was asked for in each turn').toBe(1);
    expect(seen, 'what they got').toEqual(seen.map(() => busyValue));
  });

  test('Within ttlMs, get must return the value without calling load, also if it is null, false, 0 or empty.', async ({
    pair,
  }) => {
    const [a] = await pair.begin(settings, startMs);
    const values = [newValue(), ...[null, false, 0, '', [], {}].map((value) => ({ value }))];
    const loaded = [];
    for (const value of values) {
      const key = newKey();
      expect(await loadOnce(a, key, value), 'what the first caller got').toEqual(value);
      loaded.push({ key, value });
    }
    for (const nowMs of [startMs, staleAt - 1]) {
      await a.setClock(nowMs);
      for (const { key, value } of loaded)
        await expectKnown(a, key, value, `${nowMs - startMs} ms after it was loaded, of ${ttlMs}`);
    }
  });

  test('From ttlMs plus staleMs on, get must wait for a new value; reading must not prolong a value’s life.', async ({
    pair,
  }) => {
    const [a] = await pair.begin(settings, startMs);
    const key = newKey();
    for (let life = 0, fromMs = startMs; life < 3; life++, fromMs += ttlMs + staleMs) {
      const value = newValue();
      await a.setClock(fromMs);
      await a.ask(key);
      await a.isLoading(key, life === 0 ? 'a new key' : `${ttlMs + staleMs} ms after a value was loaded`);
      await a.rest();
      expect((await a.outcomes(key)).length, 'calls answered before the load of a new value had ended').toBe(3 * life);
      await a.endLoad(key, value);
      const outcomes = await a.settled(key, 3 * life + 1, 'load returned a value');
      expect(outcomes.at(-1), `value number ${life + 1}`).toEqual(value);
      for (const readMs of [fromMs + 1, fromMs + ttlMs - 1]) {
        await a.setClock(readMs);
        await a.ask(key);
        await a.rest();
      }
      await a.settled(key, 3 * life + 3, 'reading within ttlMs');
      expect(await a.loads(key), `load calls in ${life + 1} lives of a value`).toBe(life + 1);
    }
  });
});

describe('robust', () => {
  test('When load fails, all who wait in its process must get its error, and the next call must load again.', async ({
    pair,
  }) => {
    const [a, b] = await pair.begin(settings, startMs);
    const key = newKey();
    const [first, second, value] = [{ error: `first ${key}` }, { error: `second ${key}` }, newValue()];
    await a.ask(key, 3, { retries: true });
    await a.ask(key, 2);
    await a.isLoading(key, 'callers asked for a key');
    await a.rest();
    await a.endLoad(key, first);
    expect(await a.settled(key, 5, 'load failed'), 'what 5 callers got').toEqual(
      Array.from({ length: 5 }, () => first),
    );
    await a.isLoading(key, '3 of 5 callers tried again as soon as load had failed');
    await a.ask(key, 2);
    await a.rest();
    await a.endLoad(key, second);
    const outcomes = await a.settled(key, 10, 'load failed again');
    expect(outcomes.slice(5), 'what the 3, and 2 who came later, got').toEqual(outcomes.slice(5).map(() => second));
    await a.rest();
    expect(await a.loads(key), 'load calls when it had failed twice').toBe(2);
    expect(await loadOnce(a, key, value), 'what the next caller got').toEqual(value);

    await expectSurvivesFailures(a, b);
    await expectOthersAreFree(a, b);
  });

  test('From ttlMs on, for staleMs, get must return the old value at once, while one refresh runs.', async ({
    pair,
  }) => {
    const [a] = await pair.begin(settings, startMs);
    const [early, late] = [newKey(), newKey()];
    for (const [key, nowMs] of [
      [early, staleAt],
      [late, expiredAt - 1],
    ] as const) {
      const [old, fresh] = [newValue(), newValue()];
      await a.setClock(startMs);
      await loadOnce(a, key, old);
      await a.setClock(nowMs);
      const what = `${nowMs - startMs} ms after a value was loaded, with ttlMs ${ttlMs}`;
      await a.ask(key, 5);
      await a.isLoading(key, what);
      await a.ask(key, 2);
      const outcomes = await a.settled(key, 8, `${what}, while the refresh runs`);
      await a.rest();
      expect(outcomes, `${what}, what 7 callers got while the refresh runs`).toEqual(outcomes.map(() => old));
      expect(await a.loads(key), 'load calls, the first one included').toBe(2);
      await a.endLoad(key, fresh);
      await a.rest();
      await expectBecomes(a, key, fresh, 'the refresh has ended');
      expect(await a.loads(key), 'load calls after the refresh').toBe(2);
    }

    const [key, old, fresh] = [newKey(), newValue(), newValue()];
    await a.setClock(startMs);
    await loadOnce(a, key, old);
    await a.setClock(longStale);
    await a.ask(key);
    await a.isLoading(key, 'a stale value');
    await a.settled(key, 2, 'a stale value');
    await a.setClock(longExpired);
    await a.ask(key, 3);
    await a.rest();
    expect(
      (await a.outcomes(key)).length,
      'calls answered when 3 came after the old value expired, during its refresh',
    ).toBe(2);
    expect(await a.loads(key), 'load calls for them, the first load and the refresh included').toBe(2);
    await a.endLoad(key, fresh);
    expect((await a.settled(key, 5, 'the refresh has ended')).slice(2), 'what these 3 got').toEqual([
      fresh,
      fresh,
      fresh,
    ]);
  });

  test('When a refresh fails, the old value must stay until it expires, and the next call must refresh again.', async ({
    pair,
  }) => {
    const [a] = await pair.begin(settings, startMs);
    const [key, old, fresh] = [newKey(), newValue(), newValue()];
    await loadOnce(a, key, old);
    await a.setClock(longStale);
    for (const refresh of [1, 2]) {
      await a.ask(key, 2);
      await a.isLoading(key, refresh === 1 ? 'a stale value' : 'a refresh had failed; the next call');
      const outcomes = await a.settled(key, 2 * refresh + 1, `refresh ${refresh}`);
      expect(outcomes, 'what callers got').toEqual(outcomes.map(() => old));
      await a.endLoad(key, { error: `refresh ${refresh} failed` });
      await a.rest();
      expect(await a.loads(key), `load calls when ${refresh} refreshes had failed`).toBe(refresh + 1);
    }
    await a.planLoads('throws');
    expect(await a.get(key), 'what a caller got while the refresh throws').toEqual(old);
    await a.rest();
    expect(await a.loads(key), 'load calls: the first and 3 refreshes').toBe(4);

    await a.planLoads('held');
    await a.setClock(longExpired);
    await a.ask(key);
    await a.isLoading(key, 'the old value has expired');
    await a.rest();
    expect((await a.outcomes(key)).length, 'calls answered although the value has expired and its load is held').toBe(
      5,
    );
    await a.endLoad(key, fresh);
    expect((await a.settled(key, 6, 'the load has ended')).at(-1), 'the new value').toEqual(fresh);

    // Calls that come after the old value has expired wait for its refresh. When it fails, they may get its error or load anew.
    const [late, expired] = [newKey(), newValue()];
    await a.setClock(startMs);
    await loadOnce(a, late, expired);
    await a.setClock(longStale);
    await a.ask(late);
    await a.isLoading(late, 'a stale value');
    await a.settled(late, 2, 'a stale value');
    await a.setClock(longExpired);
    await a.ask(late, 2);
    await a.rest();
    await a.endLoad(late, { error: 'the refresh failed' });
    await a.rest();
    const outcomes = (await a.outcomes(late)).slice(2);
    expectThat(
      outcomes.every((outcome) => !('value' in outcome)),
      'the old value had expired when 2 calls came; its refresh failed, and they got the old value',
    );
  });

  test('A load must not keep callers for other keys waiting, in its process or in another.', async ({ pair }) => {
    const [a, b] = await pair.begin(settings, startMs);
    const plain = newKey();
    const triples = [
      [newKey(), newKey(), newKey()],
      [plain, plain.toUpperCase(), plain.replace(/^./, (letter) => letter.toUpperCase())],
      longKeys(3),
    ];
    for (const [held, inA, inB] of triples as [string, string, string][]) {
      const value = newValue();
      await a.planLoads('held');
      await a.ask(held, crowd);
      await a.isLoading(held, 'a new key');
      for (const [process, key] of [
        [a, inA],
        [b, inB],
      ] as const) {
        const other = newValue();
        await process.planLoads(other);
        await process.ask(key);
        const what = `while process A loads ${short(held)} for ${crowd} callers, a call for ${short(key)}`;
        expect(await process.settled(key, 1, what), what).toEqual([other]);
      }
      expect(await a.outcomes(held), 'outcomes of the first key while its load is held').toEqual([]);
      await a.endLoad(held, value);
      await a.settled(held, crowd, 'the first load has ended');
    }
  });

  test('Any text of up to 200 characters must work as a key of its own.', async ({ pair }) => {
    const [a, b] = await pair.begin(settings, startMs);
    const keys = oddKeys();
    for (const process of [a, b]) {
      await process.planLoads('at once');
      for (const round of ['first', 'second'])
        for (const key of keys) {
          const outcome = await process.get(key);
          expect(outcome, `${round} call for the key ${short(key)} in process ${process.name}`).toEqual({
            value: { key, by: expect.any(String), load: expect.any(Number) },
          });
        }
    }
    const loads = [];
    for (const key of keys) loads.push({ key: short(key), loads: await a.loads(key) });
    expect(loads, 'load calls of process A').toEqual(keys.map((key) => ({ key: short(key), loads: 1 })));
  });
});

describe('stretch', () => {
  test('Two processes must load a key once, wherever either one is stopped, and share its value and its age.', async ({
    pair,
  }) => {
    await expectOneLoadInAllSchedules(pair, 'new');
    await expectOneLoadInAllSchedules(pair, 'stale');
    await expectOneLoadOfEach(pair);
    await expectSharedAge(pair);
  });

  test('When the process that loads is killed, another must load at once, without waiting for the clock.', async ({
    pair,
  }) => {
    const [, b] = await pair.begin(settings, startMs);
    const [key, value] = [newKey(), newValue()];
    {
      await using doomed = await pair.open('C');
      await doomed.begin(settings, startMs);
      await doomed.ask(key);
      await doomed.isLoading(key, 'a new key');
      await b.ask(key, 3);
      await b.rest();
      expect(await b.loads(key), 'load calls of process B while process C loads the key').toBe(0);
      await doomed.kill();
    }
    await b.isLoading(key, 'process C was killed in its load; 3 callers wait in process B');
    await b.rest();
    expect(await b.loads(key), 'load calls of process B after that').toBe(1);
    await b.endLoad(key, value);
    expect(await b.settled(key, 3, 'load returned a value'), 'what the 3 got').toEqual([value, value, value]);

    await using doomed = await pair.open('D');
    await doomed.begin(settings, longStale);
    await b.setClock(longStale);
    await doomed.ask(key);
    await doomed.isLoading(key, 'a stale value');
    await b.ask(key);
    await b.settled(key, 4, 'while process D refreshes a stale value');
    await b.rest();
    expect(await b.loads(key), 'load calls of process B while process D refreshes the value').toBe(1);
    await doomed.kill();
    await b.ask(key);
    await b.isLoading(key, 'process D was killed in its refresh, and a caller came to process B');
    const refreshed = newValue();
    expect(await b.settled(key, 5, 'a stale value'), 'what the callers got').toEqual([
      value,
      value,
      value,
      value,
      value,
    ]);
    await b.endLoad(key, refreshed);
    await b.rest();
    await expectBecomes(b, key, refreshed, 'the refresh has ended');
  });

  test('When load finds nothing, both processes must know for missingMs; after that, get must load again.', async ({
    pair,
  }) => {
    const [a, b] = await pair.begin(settings, startMs);
    const [key, value, missing] = [newKey(), newValue(), { missing: true } as const];
    expect(await loadOnce(a, key, missing), 'what the first caller got when load found nothing').toEqual(missing);
    await expectKnown(b, key, missing, 'when process A had loaded it');
    for (const process of [a, b]) {
      await process.setClock(startMs + missingMs - 1);
      await expectKnown(process, key, missing, `${missingMs - 1} ms after it was loaded, of ${missingMs}`);
    }

    await pair.setClock(startMs + missingMs);
    const before = (await b.outcomes(key)).length;
    await b.ask(key);
    await b.isLoading(key, `${missingMs} ms after load had found nothing`);
    await b.rest();
    expect((await b.outcomes(key)).length, 'calls answered before the new load had ended').toBe(before);
    await b.endLoad(key, value);
    expect((await b.settled(key, before + 1, 'load found a value')).at(-1), 'what the caller got').toEqual(value);

    const lost = newKey();
    await loadOnce(a, lost, value);
    await a.setClock(startMs + missingMs + ttlMs + 1_000);
    await a.ask(lost);
    await a.isLoading(lost, 'a stale value');
    await a.endLoad(lost, missing);
    await a.rest();
    await expectBecomes(a, lost, missing, 'the refresh has found nothing');
    expect(await a.loads(lost), 'load calls of a key that got lost').toBe(2);
  });

  test('At most maxKeys keys must remain in the table and in memory, among them the one that was loaded last.', async ({
    pair,
  }) => {
    const few = { ...settings, maxKeys };
    const [a, b] = await pair.begin(few, startMs);
    const first = Array.from({ length: maxKeys }, newKey);
    let nowMs = startMs;
    const load = async (process: CacheProcess, key: string, { inMs = 1 } = {}) => {
      const value = newValue();
      await pair.setClock((nowMs += inMs));
      await loadOnce(process, key, value);
      await process.rest();
      return { key, value };
    };
    const expectRoomFor = async (process: CacheProcess, { key, value }: { key: string; value: Outcome }, when = '') => {
      const what = `with maxKeys ${maxKeys}, after process ${process.name} loaded one more${when}`;
      expectThat(
        await pair.patience.sees(async () => (await pair.rows()) <= maxKeys),
        `${what}: ${await pair.rows()} rows in cache_entries`,
      );
      await expectKnown(process, key, value, `${what}, the key that was loaded last`);
      // That processes share what they know is promise 9.
      if ((await pair.rows()) === 0) return;
      await expectKnown(process === a ? b : a, key, value, `${what}, the key that was loaded last`);
    };
    const loaded = [];
    for (const key of first) loaded.push(await load(a, key));
    for (const { key, value } of loaded)
      await expectKnown(a, key, value, `one of ${maxKeys} keys, with maxKeys ${maxKeys}`);

    for (const [process, count] of [
      [a, 3],
      [b, maxKeys],
      [a, 2],
    ] as const)
      for (let more = 1; more <= count; more++) await expectRoomFor(process, await load(process, newKey()));
    // Whatever order decides where the times are equal, in one of these the newest key comes first.
    for (const initials of [falling, falling.toReversed()])
      for (const initial of initials)
        await expectRoomFor(b, await load(b, `${initial}${newKey()}`, { inMs: 0 }), ' in the same millisecond');

    for (let more = 1; more <= maxKeys + 2; more++) {
      await pair.setClock(++nowMs);
      await loadOnce(b, newKey(), { missing: true });
      await b.rest();
    }
    expectThat(
      await pair.patience.sees(async () => (await pair.rows()) <= maxKeys),
      `with maxKeys ${maxKeys}, after ${maxKeys + 2} keys of which load found nothing: ${await pair.rows()} rows in cache_entries`,
    );

    const prefix = newKey();
    const [keys, perCall] = [100, 10];
    const before = await a.subject.heldBytes();
    let received = 0;
    // Few in a call, because a call has a time limit.
    for (let from = 0; from < keys; from += perCall)
      received += await a.subject.run(loadLarge, { prefix, from, count: perCall, bytes: megabyte / 16 });
    expect(received, `keys of 64 KB that were loaded, of ${keys}`).toBe(keys);
    await a.rest();
    expectAtMost(
      (await a.subject.heldBytes()) - before,
      heldLimit,
      `with maxKeys ${maxKeys}, ${keys} loaded keys of 64 KB made the process hold`,
    );
    expectAtMost(
      await a.subject.run(keysInMemory, prefix),
      keys / 2,
      `with maxKeys ${maxKeys}, of ${keys} loaded keys the process had in memory`,
      'keys',
    );
    expectThat(
      await pair.patience.sees(async () => (await pair.rows()) <= maxKeys),
      `${await pair.rows()} rows in cache_entries after that`,
    );
  });
});

/** Makes a call, ends its load, and returns what the call got. */
async function loadOnce(process: CacheProcess, key: string, ends: Outcome): Promise<Outcome> {
  const before = (await process.outcomes(key)).length;
  await process.ask(key);
  await process.isLoading(key, `a call for ${short(key)}`);
  await process.endLoad(key, ends);
  const outcomes = await process.settled(key, before + 1, `the load of ${short(key)} has ended`);
  return outcomes.at(-1)!;
}

/** A call must be answered without a load. */
async function expectKnown(process: CacheProcess, key: string, known: Outcome, what: string): Promise<void> {
  const [loads, calls] = [await process.loads(key), (await process.outcomes(key)).length];
  await process.ask(key);
  await process.rest();
  expect(await process.loads(key), `load calls of process ${process.name}, ${what}`).toBe(loads);
  const outcomes = await process.settled(key, calls + 1, what);
  expect(outcomes.at(-1), `what the caller got, ${what}`).toEqual(known);
}

/** A module may store a refreshed value a moment after its load has ended. */
async function expectBecomes(process: CacheProcess, key: string, fresh: Outcome, what: string): Promise<void> {
  let last: Outcome | undefined;
  await process.patience.sees(async () => JSON.stringify((last = await process.get(key))) === JSON.stringify(fresh));
  expect(last, `${what}; what callers get in process ${process.name}`).toEqual(fresh);
}

/** More failures than the pool has connections, from rejections and from throws. */
async function expectSurvivesFailures(a: CacheProcess, b: CacheProcess): Promise<void> {
  const key = newKey();
  for (const plan of [{ error: `no ${key}` }, 'throws'] as const) {
    await a.planLoads(plan);
    const outcomes = [];
    for (let call = 1; call <= 12; call++) outcomes.push(await a.get(key));
    const error = plan === 'throws' ? `load threw for ${key}` : plan.error;
    expect(outcomes, '12 calls, one after the other, each with a load that fails').toEqual(
      outcomes.map(() => ({ error })),
    );
    expect(await a.loads(key), 'load calls').toBe(plan === 'throws' ? 24 : 12);
  }
  await a.planLoads('held');
  const value = newValue();
  expect(await loadOnce(b, key, value), 'what the next caller got, in process B').toEqual(value);
}

/** A failed load must not keep another process from loading, whether that one came before the failure or after it. */
async function expectOthersAreFree(a: CacheProcess, b: CacheProcess): Promise<void> {
  for (const [when, comesBefore] of [
    ['before', true],
    ['after', false],
  ] as const) {
    const [key, value] = [newKey(), newValue()];
    await a.ask(key);
    await a.isLoading(key, 'a new key');
    if (comesBefore) {
      await b.ask(key);
      await b.rest();
    }
    await a.endLoad(key, { error: `no ${key}` });
    await a.settled(key, 1, 'load failed');
    await a.rest();
    if (!comesBefore) await b.ask(key);
    await b.isLoading(key, `the load of process A failed; a call in process B that came ${when} that`);
    await b.endLoad(key, value);
    expect(await b.settled(key, 1, 'load returned a value'), 'what the caller in process B got').toEqual([value]);
  }
}

/** Stops process A at each statement while process B asks for the same key. */
async function expectOneLoadInAllSchedules(pair: Pair, kind: 'new' | 'stale'): Promise<void> {
  const [a, b] = await pair.begin(settings, startMs);
  const seen: { key: string; what: string }[] = [];
  let key = newKey();
  const known = kind === 'stale' ? 1 : 0;
  const getAndRest = async (process: CacheProcess) => {
    const outcome = await process.get(key);
    if (kind === 'stale') await process.rest();
    return outcome;
  };
  for (const process of [a, b]) await process.planLoads('at once');
  // Whatever the module does only once is done before statements are counted.
  for (const process of [a, b]) await process.get(newKey());

  for await (const { first, others, step, at, timeline } of explore({
    first: { ...a.session, call: () => getAndRest(a) },
    others: { ...b.session, call: () => getAndRest(b) },
    admin: pair.database.admin,
    points: ['after', 'before'],
    reset: async () => {
      key = newKey();
      if (kind === 'new') return;
      await pair.setClock(startMs);
      for (const process of [a, b]) await process.get(key);
      await pair.setClock(longStale);
    },
  })) {
    await pair.rest();
    const what = `a ${kind} key; process A was stopped ${at} its statement ${step} while B asked for it\n${timeline}\n`;
    seen.push({ key, what });
    const loads = (await pair.loads(key)) - known;
    expect(loads, `${what}load calls in both processes`).toBe(1);
    expectThat(
      'value' in first && 'value' in others,
      `${what}A got ${JSON.stringify(first)}, B ${JSON.stringify(others)}`,
    );
    if (kind === 'new') expect(others, `${what}what B got, compared with A`).toEqual(first);
  }
  // A load that came late is one too many as well.
  for (const one of seen) expect((await pair.loads(one.key)) - known, `${one.what}load calls in the end`).toBe(1);
}

/** Four keys at once in both processes, in three generations: new, expired and stale. Their loads end in another order. */
async function expectOneLoadOfEach(pair: Pair): Promise<void> {
  const [a, b] = await pair.begin(settings, startMs);
  const keys = Array.from({ length: 4 }, newKey);
  const generations = [
    { what: 'new', nowMs: startMs, processes: [a, b] },
    { what: 'expired', nowMs: longExpired, processes: [b, a] },
    { what: 'stale', nowMs: longExpired + ttlMs + 1_000, processes: [a, b] },
    { what: 'expired again', nowMs: longExpired + 3 * ttlMs, processes: [b, a] },
  ];
  for (const [index, { what, nowMs, processes }] of generations.entries()) {
    await pair.setClock(nowMs);
    for (const process of processes) for (const key of keys) await process.ask(key, 2);
    await pair.rest();
    for (const key of keys.toReversed()) {
      const begins = pair.patience.sees(async () => (await pair.loads(key)) > index);
      expectThat(await begins, `4 ${what} keys, each asked for in two processes: no process called load for ${key}`);
      const value = newValue();
      for (const process of processes) await process.endLoad(key, value);
      for (const process of processes) {
        const outcomes = await process.settled(key, 2 * (index + 1), `4 ${what} keys; a load has ended`);
        if (what !== 'stale')
          expect(outcomes.slice(2 * index), `what process ${process.name} got`).toEqual([value, value]);
      }
    }
    await pair.rest();
    for (const key of keys)
      expect(await pair.loads(key), `load calls for ${key} in both processes, once it was ${what}`).toBe(index + 1);
  }
}

/** What another process has loaded is known here, and as old as it is there. */
async function expectSharedAge(pair: Pair): Promise<void> {
  const [a, b] = await pair.begin(settings, startMs);
  const [oldKey, old] = [newKey(), newValue()];
  const loaded = Array.from({ length: 3 }, () => ({ key: newKey(), value: newValue() }));
  await loadOnce(a, oldKey, old);
  for (const { key, value } of loaded) await loadOnce(a, key, value);
  await pair.setClock(staleAt - 1);
  for (const { key, value } of loaded)
    await expectKnown(b, key, value, `when process A had loaded 4 keys ${ttlMs - 1} ms ago`);

  await pair.setClock(longStale);
  await b.ask(oldKey);
  const what = 'process A loaded a value that is stale now; process B, which has not seen it, refreshes it';
  await b.isLoading(oldKey, what);
  expect(await b.settled(oldKey, 1, what), `${what}; what its caller got meanwhile`).toEqual([old]);
  await b.endLoad(oldKey, newValue());

  await pair.setClock(longExpired);
  const [{ key }, fresh] = [loaded[0]!, newValue()];
  await b.ask(key);
  await b.isLoading(key, `process A loaded a value ${longExpired - startMs} ms ago, process B read it later`);
  await b.endLoad(key, fresh);
  expect((await b.settled(key, 2, 'load returned a value')).at(-1), 'the new value').toEqual(fresh);
  await pair.rest();
}

function short(key: string): string {
  return key.length > 40
    ? `"${key.slice(0, 20)}…${key.slice(-4)}" of ${[...key].length} characters`
    : JSON.stringify(key);
}
