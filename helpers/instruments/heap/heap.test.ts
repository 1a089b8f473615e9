import { readdir, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { type Subject, startModule } from '../../judging/subject/subject.ts';
import { startBusyLoops } from '../../foundations/processes/busy-loops.ts';
import { growthPerVisit } from './churn.ts';
import { collect, collectUntil } from './heap-figures.ts';
import { holdersAfter, holdersText } from './holders.ts';

// Each planted leak has a control beside it that does the same and lets go.

const folder = await testFolder(afterAll);

const source = `
export class Hub {
  readonly kept: unknown[] = [];
  readonly timers: NodeJS.Timeout[] = [];
  /** One connection that comes and goes; it leaves a string of so many bytes, the last \`most\` of them. */
  visit(bytes: number, most: number) {
    this.kept.push(Buffer.alloc(bytes, 97).toString('latin1'));
    if (this.kept.length > most) this.kept.shift();
  }
  hold(object: unknown) {
    this.kept.push(object);
  }
  drop() {
    this.kept.length = 0;
  }
}
export const hub = new Hub();
`;
const file = join(folder, 'hub.ts');
await writeFile(file, source);

interface Hub {
  kept: unknown[];
  timers: NodeJS.Timeout[];
  visit(bytes: number, most: number): void;
  hold(object: unknown): void;
  drop(): void;
}
type HubSubject = Subject<{ hub: Hub }, Record<string, unknown>>;

async function startHub(): Promise<HubSubject> {
  const subject = await startModule<{ hub: Hub }, Record<string, unknown>>(file, { needs: ['heap'] });
  onTestFinished(() => subject[Symbol.asyncDispose]());
  return subject;
}

describe('growth over cycles', () => {
  const perCycle = 20;
  const rounds = 5;
  const visits = async (subject: HubSubject, bytes: number, most: number) =>
    await subject.evaluate(
      ({ hub }, args) => {
        for (let visit = 0; visit < args.perCycle; visit++) hub.visit(args.bytes, args.most);
      },
      { bytes, most, perCycle },
    );
  const growths = async (bytes: number, most: number) => {
    using _load = startBusyLoops(2 * availableParallelism());
    const subject = await startHub();
    const found: number[] = [];
    for (let round = 0; round < rounds; round++) {
      found.push(await growthPerVisit({ subject, perCycle, cycle: () => visits(subject, bytes, most) }));
    }
    return found.map(Math.round);
  };

  test.for([
    { bytes: 1024, what: '1 KB' },
    { bytes: 180, what: '200 B, with the string’s own head' },
  ])('finds a leak of $what a connection in 5 of 5 rounds, beside busy loops', async ({ bytes }) => {
    const found = await growths(bytes, Infinity);

    expect(
      found.filter((growth) => growth >= 100),
      `bytes a connection, ${found.join(' ')}`,
    ).toHaveLength(rounds);
  });

  test.for([
    { most: Infinity, bytes: 1000 },
    { most: 30, bytes: 0 },
  ])('finds Buffers where it is told to count them: $bytes bytes each when the last $most are kept', async (kept) => {
    const subject = await startHub();
    const keepBuffers = () =>
      subject.evaluate(
        ({ hub }, { most, count }) => {
          for (let visit = 0; visit < count; visit++) hub.hold(Buffer.alloc(1000));
          hub.kept.splice(0, hub.kept.length - most);
        },
        { most: kept.most, count: perCycle },
      );

    const growth = await growthPerVisit({
      subject,
      perCycle,
      cycle: keepBuffers,
      bytesOf: ({ arrayBuffers }) => arrayBuffers,
    });

    expect(growth).toBe(kept.bytes);
  });

  test('finds none where a cache is bounded, in 5 of 5 rounds, beside busy loops', async () => {
    const found = await growths(1024, 30);

    expect(
      found.filter((growth) => growth < 100),
      `bytes a connection, ${found.join(' ')}`,
    ).toHaveLength(rounds);
  });
});

describe('counts', () => {
  test('timers count until they are cleared, also when they are unref’d; those of a server do not', async () => {
    const subject = await startHub();
    const { timers: before } = await collect(subject);

    await subject.evaluate(({ hub }) => {
      hub.timers.push(
        setInterval(() => undefined, 1e6),
        setTimeout(() => undefined, 1e6).unref(),
      );
    });
    const { timers: held } = await collect(subject);
    await subject.evaluate(({ hub }) => {
      for (const timer of hub.timers.splice(0)) clearTimeout(timer);
    });
    const { timers: after } = await collect(subject);

    expect({ held: held - before, after: after - before }).toEqual({ held: 2, after: 0 });
  });

  test('an object that is watched counts until it can be collected', async () => {
    const subject = await startHub();
    await subject.evaluate(({ hub }, _args, _kept, { watch }) => {
      for (let n = 0; n < 5; n++) {
        const object = { n };
        watch('things', object);
        if (n < 2) hub.hold(object);
      }
    });

    const held = await collectUntil(subject, ({ watched }) => watched.things!.collected === 3);
    await subject.evaluate(({ hub }) => hub.drop());
    const dropped = await collectUntil(subject, ({ watched }) => watched.things!.collected === 5);

    expect(held.watched, 'five watched, two of them held').toEqual({ things: { seen: 5, collected: 3 } });
    expect(dropped.watched, 'and then dropped').toEqual({ things: { seen: 5, collected: 5 } });
  });

  test('bytes of Buffers are seen when they are held, and not when they are dropped', async () => {
    const subject = await startHub();
    const before = await collect(subject);

    await subject.evaluate(({ hub }) => hub.hold(Buffer.alloc(1_000_000)));
    const held = await collect(subject);
    await subject.evaluate(({ hub }) => hub.drop());
    const after = await collect(subject);

    expect(held.arrayBuffers - before.arrayBuffers).toBe(1_000_000);
    expect(after.arrayBuffers - before.arrayBuffers).toBe(0);
  });

  test.for(['process.memoryUsage = (() => ({ heapUsed: 1 })) as never;', 'process.getActiveResourcesInfo = () => [];'])(
    'a module cannot patch what measures: %s',
    async (patch) => {
      const lying = join(folder, `lying-${patch.length}.ts`);
      await writeFile(lying, `${patch}\nexport const go = 1;`);

      await expect(startModule(lying, { needs: ['heap'] })).rejects.toThrow(/Cannot assign to read only property/);
    },
  );
});

test.for([
  [
    'by emitDestroy',
    `const like = new AsyncResource('like') as any;
     const key = Object.getOwnPropertySymbols(like).find(({ description }) => description === 'async_id_symbol')!;
     const hide = (timer: any) => {
       like[key] = timer[Object.getOwnPropertySymbols(timer).find(({ description }) => description === 'asyncId')!];
       like.emitDestroy();
     };`,
  ],
  [
    'by clearTimeout of what looks like them',
    `const hide = (timer: any) => {
       const id = Object.getOwnPropertySymbols(timer).find(({ description }) => description === 'asyncId')!;
       clearTimeout({ _onTimeout: () => {}, [id]: timer[id], _idleNext: null, _idlePrev: null } as never);
     };`,
  ],
])('a module cannot say of timers that they are gone: %s', async ([way, hide]) => {
  const hiding = join(folder, `hiding-${way!.length}.ts`);
  await writeFile(
    hiding,
    `import { AsyncResource } from 'node:async_hooks';
     ${hide}
     void AsyncResource;
     export const go = () => { for (let left = 5; left > 0; left--) hide(setInterval(() => {}, 3_600_000)); };
     export const clear = () => { const timers = Array.from({ length: 5 }, () => setInterval(() => {}, 3_600_000)); for (const timer of timers) clearInterval(timer); };`,
  );
  const subject = await startModule<{ go(): void; clear(): void }>(hiding, { needs: ['heap'] });
  onTestFinished(() => subject[Symbol.asyncDispose]());
  const { timers: before } = await collect(subject);

  await subject.evaluate((kata) => kata.go());
  await subject.evaluate((kata) => kata.clear());

  const { timers } = await collect(subject);
  expect(timers - before).toBe(5);
});

test('timers of timers/promises count, also with ref: false and where the module shows no stack', async () => {
  const promised = join(folder, 'promised-timers.ts');
  await writeFile(
    promised,
    `import { setTimeout as pause } from 'node:timers/promises';
     Error.stackTraceLimit = 0;
     export const go = (count: number) => { for (let left = count; left > 0; left--) void pause(3_600_000, undefined, { ref: false }); };`,
  );
  const subject = await startModule<{ go(count: number): void }>(promised, { needs: ['heap'] });
  onTestFinished(() => subject[Symbol.asyncDispose]());
  const { timers: before } = await collect(subject);

  await subject.evaluate((kata) => kata.go(7));

  expect((await collect(subject)).timers - before).toBe(7);
});

describe('holders', () => {
  test('are named field by field, with their count and size; what is let go is not named', async () => {
    const subject = await startHub();
    await subject.evaluate(({ hub }) => hub.hold('there before'));

    const holders = await holdersAfter(
      subject,
      'Hub',
      async () =>
        await subject.evaluate(({ hub }) => {
          for (let n = 0; n < 10; n++) hub.hold(Buffer.alloc(1024 * 1024));
          for (let n = 0; n < 10; n++) new Uint8Array(1024 * 1024);
        }),
    );

    expect(holdersText(holders)).toMatch(/^10 x 102[45] KB {2}Hub\.kept \(Array\) -> \[\*\] \(Buffer\)$/);
  });

  test('are none when nothing is left', async () => {
    const subject = await startHub();

    const holders = await holdersAfter(
      subject,
      'Hub',
      async () =>
        await subject.evaluate(({ hub }) => {
          for (let n = 0; n < 10; n++) hub.hold({ n });
          hub.drop();
        }),
    );

    expect(holders).toEqual([]);
  });

  test('a timer that nobody tracks is named by its function', async () => {
    const subject = await startHub();

    const holders = await holdersAfter(
      subject,
      'Hub',
      async () =>
        await subject.evaluate(() => {
          function tick() {}
          for (let n = 0; n < 3; n++) setInterval(tick, 1e6);
        }),
      { of: ['Timeout'] },
    );

    expect(holdersText(holders)).toMatch(/^3 x \d+ B {2}a timer \(Timeout\) -> _onTimeout \(function tick\)$/);
  });

  test('strings are named as such; what was there before is told of when that is asked for', async () => {
    const subject = await startHub();
    const holdMore = async () =>
      await subject.evaluate(({ hub }) => {
        class Held {}
        for (let n = 0; n < 10; n++) hub.hold(`${'x'.repeat(100)} ${n}`);
        for (let n = 0; n < 4; n++) hub.hold(new Held());
      });
    await holdMore();

    const after = await holdersAfter(subject, 'Hub', holdMore, { atLeast: 10 });
    const there = await holdersAfter(subject, 'Hub', 'there', { of: ['Held'] });

    expect(holdersText(after)).toMatch(/^10 x \d+ B {2}Hub\.kept \(Array\) -> \[\*\] \(string\)$/);
    expect(there.filter(({ path }) => path.startsWith('Hub.kept')).map(({ count }) => count)).toEqual([8]);
  });

  test('registrations of a FinalizationRegistry are named and counted, not chained to each other', async () => {
    const subject = await startHub();

    const holders = await holdersAfter(
      subject,
      'Hub',
      async () =>
        await subject.evaluate(({ hub }) => {
          const finalizers = new FinalizationRegistry(() => {});
          hub.hold(finalizers);
          const target = {};
          hub.hold(target);
          for (let n = 0; n < 20; n++) finalizers.register(target, new Float64Array(1_000));
        }),
    );

    const path = /^Hub\.kept \(Array\) -> \[\*\] \(FinalizationRegistry\) -> \[\*\] \(a registration\)$/;
    const { count, retainedBytes } = holders.find((holder) => path.test(holder.path))!;
    expect(count).toBe(20);
    expect(retainedBytes / count).toBeGreaterThan(8_000);
    expect(retainedBytes / count).toBeLessThan(8_500);
  });

  test('what a registration or an iterator of a Map holds is named with it', async () => {
    const subject = await startHub();
    await subject.evaluate(({ hub }) => {
      const map = new Map<number, object>();
      const finalizers = new FinalizationRegistry<object>(() => {});
      for (const lasting of [map, map.values(), finalizers]) hub.hold(lasting);
    });

    const holders = await holdersAfter(
      subject,
      'Hub',
      async () =>
        await subject.evaluate(({ hub }) => {
          class Held {}
          const [map, , finalizers] = hub.kept as [Map<number, Held>, unknown, FinalizationRegistry<Held>];
          for (let n = 0; n < 20; n++) finalizers.register(map, new Held());
          // The Map makes larger tables, and leaves the iterator in the smallest.
          for (let n = 0; n < 1_000; n++) map.set(n, new Held());
          map.clear();
        }),
      { of: ['Held'] },
    );

    expect(holdersText(holders)).toMatch(
      /^1000 x \d+ B {2}Hub\.kept \(Array\) -> \[\*\] \(MapIterator\) -> \[\*\] \(Held\)\n20 x \d+ B {2}Hub\.kept \(Array\) -> \[\*\] \(FinalizationRegistry\) -> \[\*\] \(a registration\) -> … \(Held\)$/,
    );
  });

  test('leave no folder behind', async () => {
    const left = (await readdir(tmpdir())).filter((name) => name.startsWith(`kata-heap-${process.pid}-`));

    expect(left).toEqual([]);
  });
});
