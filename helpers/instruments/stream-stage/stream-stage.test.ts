import { expect, test } from 'vitest';
import { comes, CountedSource, cutAt, ending, flow, readerThat, sourceOf, standstill } from './stream-stage.ts';

test('an ending is done, the planned failure, another failure, or still waiting', async () => {
  const planned = new Error('planned');

  expect(await ending(Promise.resolve(1), planned)).toBe('done');
  expect(await ending(Promise.reject(planned), planned)).toBe('failed as planned');
  expect(await ending(Promise.reject(new Error('planned')), planned)).toBe('failed: Error: planned');
  expect(await ending(Promise.reject(new RangeError('far')))).toBe('failed: RangeError: far');
  expect(await ending(Promise.reject('text'))).toBe('failed: text');
  expect(await ending(new Promise(() => undefined))).toBe('still waiting');
});

test.for([true, false])('a source gives its chunks as they are; it pushes at once: %s', async (pushesAtOnce) => {
  const seen: unknown[] = [];

  const how = await flow([
    sourceOf(['a', Buffer.alloc(0), 0], { pushesAtOnce }),
    readerThat((chunk) => seen.push(chunk)),
  ]);

  expect(how).toBe('done');
  expect(seen).toEqual(['a', Buffer.alloc(0), 0]);
});

test('a source ends, fails, closes or stalls, and counts what was pulled', async () => {
  const planned = new Error('planned');
  const ends = [];
  for (const afterwards of ['end', planned, 'destroy', 'stall'] as const) {
    const source = new CountedSource(3, (index) => index, { afterwards });
    ends.push([await flow([source, readerThat(() => undefined)], planned), source.pulled]);
  }

  expect(ends).toEqual([
    ['done', 3],
    ['failed as planned', 3],
    ['failed: Error: Premature close', 3],
    ['still waiting', 3],
  ]);
});

test('a standstill is seen only after a count that rises once in a turn has stopped', async () => {
  let count = 0;
  const rise = () => void (++count < 500 && setImmediate(rise));
  rise();

  expect(await standstill(() => count)).toBe(500);
});

test('a condition comes, or it does not', async () => {
  let holds = false;
  setImmediate(() => (holds = true));

  expect(await comes(() => holds)).toBe(true);
  expect(await comes(() => false)).toBe(false);
});

test('time in which the process works is not waited in vain', async () => {
  const worksMs = 3_000;
  const works = new Promise<void>((resolve) => {
    const turn = () => {
      const began = process.cpuUsage();
      while (usedMs(process.cpuUsage(began)) < 10);
      if (usedMs(process.cpuUsage(start)) > worksMs) resolve();
      else setTimeout(turn, 1);
    };
    const start = process.cpuUsage();
    turn();
  });

  expect(await ending(works), `a promise that settles after ${worksMs} ms of work, in turns of 10 ms`).toBe('done');
});

test('a text is cut at its places, as far as it is that long', () => {
  expect(cutAt('abc', [2, 9, 0])).toEqual(['', 'ab', 'c', '']);
  expect(cutAt(Uint8Array.of(1, 2), [1])).toEqual([Uint8Array.of(1), Uint8Array.of(2)]);
  expect(cutAt('', [])).toEqual(['']);
});

function usedMs({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1000;
}
