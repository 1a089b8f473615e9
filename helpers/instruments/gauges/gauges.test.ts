import { open, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { SparseFile } from '../sparse-file/sparse-file.ts';
import { type Subject, startModule } from '../../judging/subject/subject.ts';
import { startBusyLoops } from '../../foundations/processes/busy-loops.ts';
import { useWorkspace } from '../../judging/subject/use-workspace.ts';

const workspace = await useWorkspace();
const mebibyte = 1024 * 1024;
const file = await SparseFile.create(join(workspace, 'file.bin'), 64 * mebibyte);

const source = `import { open } from 'node:fs/promises';
  const handles: any[] = [];
  export const openIt = async (file: string) => void handles.push(await open(file));
  export const closeIt = async () => void (await handles.pop().close());
  /** Reads on after it has answered. */
  export const readIt = async (file: string) => {
    const handle = await open(file);
    void (async () => {
      const buffer = Buffer.alloc(256 * 1024);
      while ((await handle.read(buffer, 0, buffer.length)).bytesRead > 0);
      await handle.close();
    })();
  };
  let held: Uint8Array[] = [];
  export const hold = (bytes: number) => void held.push(new Uint8Array(bytes).fill(1));
  export const letGo = () => void (held = []);`;
interface Kata {
  openIt(path: string): Promise<void>;
  closeIt(): Promise<void>;
  readIt(path: string): Promise<void>;
  hold(bytes: number): void;
  letGo(): void;
}

afterEach(() => void vi.unstubAllEnvs());

describe.for(['with /proc', 'without /proc'])('%s', (where) => {
  const isLinux = process.platform === 'linux';

  test('a file is open from its open to its close, whatever its name', async ({ skip }) => {
    if (where === 'with /proc' && !isLinux) skip('There is no /proc here.');
    const { openDescriptors } = await gauges(where);
    await using subject = await start();
    const path = join(workspace, 'moved.bin');
    await writeFile(path, 'text');

    const before = await openDescriptors(subject, path);
    await subject.evaluate((kata, name) => kata.openIt(name), path);
    await subject.evaluate((kata, name) => kata.openIt(name), path);
    const twice = await openDescriptors(subject, path);
    await rename(path, `${path}.away`);
    const moved = await openDescriptors(subject, `${path}.away`);
    await subject.evaluate((kata) => kata.closeIt());
    const once = await openDescriptors(subject, `${path}.away`);

    expect(before).toEqual([]);
    expect(twice).toHaveLength(2);
    expect(moved).toEqual(twice);
    expect(once).toHaveLength(1);
  });
});

test('what is held in memory comes and goes', async () => {
  await using subject = await start();
  const before = await subject.heldBytes();

  await subject.evaluate((kata, bytes) => kata.hold(bytes), 32 * mebibyte);
  const held = (await subject.heldBytes()) - before;
  await subject.evaluate((kata) => kata.letGo());
  const after = (await subject.heldBytes()) - before;

  expect(held / mebibyte, 'MiB held').toBeGreaterThan(31);
  expect(held / mebibyte, 'MiB held').toBeLessThan(36);
  expect(after / mebibyte, 'MiB held after it let go').toBeLessThan(4);
});

test('without /proc, bytes read are refused with the reason', async () => {
  const { bytesRead, noBytesRead } = await gauges('without /proc');
  await using subject = await start();

  expect(noBytesRead).toContain('only Linux');
  await expect(bytesRead(subject)).rejects.toThrow('only Linux');
});

describe.for(['with /proc', 'without /proc'])('%s', (where) => {
  test('the most that was held is told after it was let go', async ({ skip }) => {
    if (where === 'with /proc' && process.platform !== 'linux') skip('There is no /proc here.');
    const { peakBytes } = await gauges(where);
    // Another process each time: the peak of one never goes down.
    await using subject = await start();

    const before = await peakBytes(subject);
    // Without /proc the figure may begin at the peak of the process that made this one, so what is held has to rise above it.
    const held = (where === 'with /proc' ? 0 : before) + 256 * mebibyte;
    await subject.evaluate((kata, bytes) => kata.hold(bytes), held);
    await subject.evaluate((kata) => kata.letGo());
    await subject.heldBytes();
    const grown = ((await peakBytes(subject)) - before) / mebibyte;

    expect(grown, 'MiB more at the peak').toBeGreaterThan(244);
    expect(grown, 'MiB more at the peak').toBeLessThan(where === 'with /proc' ? 304 : 512);
  });

  test('CPU time is that of all threads, and of this process only', async ({ skip }) => {
    if (where === 'with /proc' && process.platform !== 'linux') skip('There is no /proc here.');
    const { cpuMs } = await gauges(where);
    await using subject = await start();
    const derive = (_kata: Kata, log2: number) =>
      new Promise<void>((resolve) => {
        const { scrypt } = process.getBuiltinModule('node:crypto');
        scrypt('a', 'b', 32, { N: 2 ** log2, maxmem: 2 ** 30 }, () => resolve());
      });

    const before = await cpuMs(subject);
    await subject.evaluate(derive, 16);
    const once = (await cpuMs(subject)) - before;
    process.getBuiltinModule('node:crypto').scryptSync('a', 'b', 32, { N: 2 ** 16, maxmem: 2 ** 30 });
    const nothing = (await cpuMs(subject)) - before - once;

    expect(once, 'ms for a key derived in another thread').toBeGreaterThan(40);
    expect(nothing, 'ms while another process derived one').toBeLessThan(once / 2);
  });
});

test('bytes written are those of the process, and without /proc they are refused with the reason', async ({ skip }) => {
  const without = await gauges('without /proc');
  await using subject = await start();
  await expect(without.bytesWritten(subject)).rejects.toThrow('only Linux');
  vi.unstubAllEnvs();
  const { bytesWritten, noBytesWritten } = await gauges('with /proc');
  if (noBytesWritten !== undefined) skip(noBytesWritten);

  const before = await bytesWritten(subject);
  await subject.evaluate(
    (_kata, path) => {
      process.getBuiltinModule('node:fs').writeFileSync(path, Buffer.alloc(1_000_000));
    },
    join(workspace, 'written.bin'),
  );
  const written = (await bytesWritten(subject)) - before;

  // A write counts 8 bytes less than it has.
  expect(written).toBeGreaterThanOrEqual(1_000_000 - 8);
  expect(written).toBeLessThan(1_010_000);
});

test('a thread that wakes another one has written nothing', async ({ skip }) => {
  const { bytesWritten, noBytesWritten } = await gauges('with /proc');
  if (noBytesWritten !== undefined) skip(noBytesWritten);
  await using subject = await start();

  const before = await bytesWritten(subject);
  await subject.evaluate(async () => {
    const { randomFill } = process.getBuiltinModule('node:crypto');
    const bytes = Buffer.alloc(16);
    // Each is filled by a thread of the pool.
    for (let time = 0; time < 2000; time++) await new Promise((resolve) => randomFill(bytes, resolve));
  });

  expect((await bytesWritten(subject)) - before).toBeLessThan(1000);
});

test('a process is at rest only when it has read all that it was going to, also beside busy neighbours', async ({
  skip,
}) => {
  const { atRest, bytesRead, noBytesRead } = await gauges('with /proc');
  if (noBytesRead !== undefined) skip(noBytesRead);
  using _neighbours = startBusyLoops(4);
  await using subject = await start();

  for (let round = 1; round <= 5; round++) {
    const before = await bytesRead(subject);
    await subject.evaluate((kata, path) => kata.readIt(path), file.path);
    const isAtRest = await atRest(subject);
    const read = (await bytesRead(subject)) - before;

    expect(isAtRest, `round ${round}`).toBe(true);
    expect(read, `round ${round}: bytes read when it came to rest`).toBeGreaterThanOrEqual(file.bytes);
    expect(read, `round ${round}: bytes read when it came to rest`).toBeLessThan(file.bytes + mebibyte);
  }
});

test('what this process reads is not counted for the subject', async ({ skip }) => {
  const { bytesRead, noBytesRead } = await gauges('with /proc');
  if (noBytesRead !== undefined) skip(noBytesRead);
  await using subject = await start();

  const before = await bytesRead(subject);
  await file.sha256();
  await (await open(file.path)).close();

  // 64 MiB were read here. The subject's own threads wake each other by eight bytes, whenever they like.
  expect((await bytesRead(subject)) - before).toBeLessThan(1024);
});

test('the main thread is charged with what is read synchronously, and with nothing else', async ({ skip }) => {
  const { bytesReadByMainThread, noBytesRead } = await gauges('with /proc');
  if (noBytesRead !== undefined) skip(noBytesRead);
  await using subject = await start();
  const readSync = (_kata: Kata, path: string) => process.getBuiltinModule('node:fs').readFileSync(path).length;
  const readAsync = async (_kata: Kata, path: string) =>
    (await process.getBuiltinModule('node:fs').promises.readFile(path)).length;

  const before = await bytesReadByMainThread(subject);
  await subject.evaluate(readAsync, file.path);
  const afterAsync = await bytesReadByMainThread(subject);
  await subject.evaluate(readSync, file.path);
  const afterSync = await bytesReadByMainThread(subject);

  expect(afterAsync - before, 'bytes read asynchronously').toBeLessThan(mebibyte);
  expect(afterSync - afterAsync, 'bytes read synchronously').toBeGreaterThanOrEqual(file.bytes);
});

test('a gauge of a process that has ended says so, with its last words', async ({ skip }) => {
  const { bytesRead, openDescriptors, peakBytes, cpuMs } = await gauges('with /proc');
  if (process.platform !== 'linux') skip('There is no /proc here.');
  await using subject = await start();

  void subject.evaluate(() => void setImmediate(() => void Promise.reject(new Error('out of paper'))));
  const first = await Promise.race([untilItThrows(() => bytesRead(subject)), untilItThrows(() => cpuMs(subject))]);

  expect(first, 'the gauge that met the end').toMatch(/ended its process by .*: Error: out of paper/);
  await expect(openDescriptors(subject, file.path)).rejects.toThrow(/Error: out of paper/);
  await expect(peakBytes(subject)).rejects.toThrow(/Error: out of paper/);
});

/** Asks without a pause, so that it meets the moment in which the process ends. */
async function untilItThrows(ask: () => Promise<unknown>): Promise<string> {
  for (;;) {
    try {
      await ask();
    } catch (error) {
      return (error as Error).message;
    }
    await new Promise(setImmediate);
  }
}

async function gauges(where: string) {
  vi.resetModules();
  if (where === 'without /proc') vi.stubEnv('KATA_PROC', 'off');
  return await import('./gauges.ts');
}

let modules = 0;

async function start(): Promise<Subject<Kata>> {
  const module = join(workspace, `module-${++modules}.ts`);
  await writeFile(module, source);
  return await startModule<Kata>(module, { needs: ['read-files', 'write-files'], workspace });
}
