import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { type StreamStage, cutAt, inPast, setStreamStage } from './stream-stage.ts';

const kept = {} as { streams: StreamStage };
await setStreamStage(undefined, undefined, kept, {
  load: (name) => import(name),
  watch: () => undefined,
  turns: async () => undefined,
  cpuMs: () => 0,
  timers: () => 0,
});
const { chunks, ending, flow } = kept.streams;

test('an ending is told as it was: done, planned, another error, or none', async () => {
  const planned = new Error('planned');

  expect(await ending(Promise.resolve(1), planned)).toBe('done');
  expect(await ending(Promise.reject(planned), planned)).toBe('failed as planned');
  expect(await ending(Promise.reject(new Error('planned')), planned)).toBe('failed: Error: planned');
  expect(await ending(Promise.reject(new RangeError('far')))).toBe('failed: RangeError: far');
  expect(await ending(Promise.reject('text'))).toBe('failed: text');
  expect(await ending(new Promise(() => undefined))).toBe('still waiting');
  expect(inPast('failed: RangeError: far')).toBe('failed with "RangeError: far"');
});

test('chunks come as they are, and no two in one turn', async () => {
  const seen: unknown[] = [];
  const sink = new Writable({
    objectMode: true,
    write(chunk, _encoding, callback) {
      seen.push(chunk);
      callback();
    },
  });
  const source = chunks(['a', Buffer.alloc(0), 0]);
  let sameTurn = 0;
  source.on('data', () => {
    sameTurn++;
    setImmediate(() => (sameTurn = 0));
    expect(sameTurn, 'chunks in this turn').toBe(1);
  });

  expect(await flow([source, sink])).toBe('done');
  expect(seen).toEqual(['a', Buffer.alloc(0), 0]);
});

test('a text is cut at its places, as far as it has them', () => {
  expect(cutAt('abc', [2, 9, 0])).toEqual(['', 'ab', 'c', '']);
  expect(cutAt(Uint8Array.of(1, 2), [1])).toEqual([Uint8Array.of(1), Uint8Array.of(2)]);
  expect(cutAt('', [])).toEqual(['']);
});
