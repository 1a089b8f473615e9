import nodeTimers from 'node:timers';
import { scheduler, setInterval as ticks, setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { installSteppedClock } from './stepped-clock.ts';

const clock = installSteppedClock();
let events: string[] = [];
const note = (event: string) => void events.push(event);

beforeEach(() => {
  events = [];
  clock.hold();
});
afterEach(() => clock.release());

test('timers of every kind fire when they are due, in order, and not before', async () => {
  setTimeout(note, 300, 'timeout');
  nodeTimers.setTimeout(note, 200, 'of node:timers');
  void wait(250, 'promise').then(note);
  void scheduler.wait(270).then(() => note('scheduler'));
  AbortSignal.timeout(290).addEventListener('abort', () => note('signal'));
  const interval = setInterval(note, 140, 'interval');

  await clock.step(299);
  const before = [...events];
  clearInterval(interval);
  await clock.step(1);

  expect(before).toEqual(['interval', 'of node:timers', 'promise', 'scheduler', 'interval', 'signal']);
  expect(events.slice(before.length)).toEqual(['timeout']);
});

test('a cleared timer never fires, by object, by number and by close(); a refreshed one fires later', async () => {
  clearTimeout(setTimeout(note, 10, 'object'));
  clearTimeout(+setTimeout(note, 10, 'number'));
  setTimeout(note, 10, 'closed').close();
  const refreshed = setTimeout(note, 10, 'refreshed');
  expect([refreshed.hasRef(), refreshed.unref().hasRef(), refreshed.ref().hasRef()]).toEqual([true, false, true]);

  await clock.step(9);
  refreshed.refresh();
  await clock.step(9);
  expect(events).toEqual([]);
  await clock.step(1);
  refreshed.refresh();
  await clock.step(10);

  expect(events).toEqual(['refreshed', 'refreshed']);
});

test('every clock stands still until it is moved', async () => {
  const read = () => [
    Date.now(),
    new Date().getTime(),
    performance.now(),
    Number(process.hrtime.bigint() / 1_000_000n),
  ];
  const before = read();
  expect(read()).toEqual(before);

  await clock.step(5000);

  expect(read().map((now, index) => Math.round(now - before[index]!))).toEqual([5000, 5000, 5000, 5000]);
});

test('an aborted wait rejects as Node does, and a loop over ticks goes on with the clock', async () => {
  const over = new AbortController();
  const waiting = wait(10, undefined, { signal: over.signal });
  over.abort();
  await expect(waiting).rejects.toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });

  void (async () => {
    for await (const tick of ticks(10, 'tick')) note(tick);
  })();
  await clock.step(35);
  expect(events).toEqual(['tick', 'tick', 'tick']);
});

test('a clock that is not held is the real one', async () => {
  clock.release();

  await new Promise((resolve) => setTimeout(resolve, 1));
  expect(await wait(1, 'passed')).toBe('passed');
  await expect(clock.step(1)).rejects.toThrow('call hold()');
});
