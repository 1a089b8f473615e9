import { mkdir, open, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openDescriptors } from '../gauges/gauges.ts';
import { type Subject, startModule } from '../../judging/subject/subject.ts';
import { settles, until } from '../../foundations/waiting/until.ts';
import { useWorkspace } from '../../judging/subject/use-workspace.ts';
import { breakDescriptors, mendDescriptors } from './broken-disk.ts';
import { noStuckDisk, stickDisk } from './stuck-disk.ts';

const workspace = await useWorkspace();
const folder = join(workspace, 'folder');
await mkdir(folder);
const file = join(workspace, 'file.txt');
await writeFile(file, 'its text');

describe('a stuck disk', () => {
  const reads: readonly [name: string, source: string, isHeld: boolean][] = [
    ['fs.promises.readFile', 'async (file) => String(await fs.promises.readFile(file))', true],
    ['fs.promises.stat', 'async (file) => (await fs.promises.stat(file)) && "its text"', true],
    ['a stream', 'async (file) => String((await fs.createReadStream(file).toArray())[0])', true],
    ['readFileSync', 'async (file) => fs.readFileSync(file, "utf8")', false],
  ];

  test.for(reads)('%s', async ([, source, isHeld], { skip }) => {
    if (noStuckDisk !== undefined) skip(noStuckDisk);
    await using subject = await start(source);
    const { seen, text } = await readWhileStuck(subject);

    expect(seen, 'what had been read while the disk was stuck').toBe(isHeld ? undefined : 'its text');
    expect(text, 'and after its release').toBe('its text');
  });

  test('holds up a module that has asked for more threads, too', async ({ skip }) => {
    if (noStuckDisk !== undefined) skip(noStuckDisk);
    await using subject = await start(
      '(process.env.UV_THREADPOOL_SIZE = "12", async (file) => String(await fs.promises.readFile(file)))',
    );
    await using disk = await stickDisk(subject, workspace);

    const reading = subject.evaluate((kata, path) => kata.read(path), file);
    await subject.turns(1000);
    expect(
      await settles(Promise.race([reading, subject.turns(1000).then(() => Promise.reject(new Error('held')))])),
    ).toBe(true);
    await disk.release();

    expect(await reading).toBe('its text');
  });

  test('holds up a read while somebody still has the pipes of an earlier time open', async ({ skip }) => {
    if (noStuckDisk !== undefined) skip(noStuckDisk);
    await using subject = await start('async (file) => String(await fs.promises.readFile(file))');
    const earlier = await stickDisk(subject, workspace);
    await earlier.step();
    await earlier.release();
    await using writers = new AsyncDisposableStack();
    for (const name of await readdir(workspace))
      if ((await stat(join(workspace, name))).isFIFO()) writers.use(await open(join(workspace, name), 'r+'));
    const { seen } = await readWhileStuck(subject);

    expect(seen, 'what had been read while the disk was stuck').toBe(undefined);
  });

  test('lets one read after the other go, step by step', async ({ skip }) => {
    if (noStuckDisk !== undefined) skip(noStuckDisk);
    // What has been done so far, read by the module one operation after the other.
    await using subject = await start(`(globalThis.done = [], async (file) => {
      const handle = await fs.promises.open(file);
      done.push('opened');
      for (let at = 0; at < 3; at++) {
        await handle.read(Buffer.alloc(1), 0, 1, at);
        done.push('read ' + at);
      }
      await handle.close();
      return done.join(', ');
    })`);
    const done = () => subject.evaluate(() => (globalThis as unknown as { done: string[] }).done.join(', '));
    await using disk = await stickDisk(subject, workspace);
    const reading = subject.evaluate((kata, path) => kata.read(path), file);

    const seen: string[] = [];
    for (let step = 0; step < 3; step++) {
      await subject.turns(100);
      seen.push(await done());
      await disk.step();
      await until(async () => (await done()) !== seen.at(-1));
    }
    await subject.turns(1000);
    seen.push(await done());
    await disk.release();

    expect(seen).toEqual(['', 'opened', 'opened, read 0', 'opened, read 0, read 1']);
    expect(await reading).toBe('opened, read 0, read 1, read 2');
  });

  test('is released when its test is over, and again and again', async ({ skip }) => {
    if (noStuckDisk !== undefined) skip(noStuckDisk);
    await using subject = await start('async (file) => String(await fs.promises.readFile(file))');
    for (let round = 0; round < 5; round++) {
      await using _disk = await stickDisk(subject, workspace);
    }

    expect(await subject.evaluate((kata, path) => kata.read(path), file)).toBe('its text');
  });
});

describe('a broken disk', () => {
  const shapes: readonly [name: string, source: string][] = [
    [
      'fs.read',
      '() => new Promise((resolve, reject) => fs.read(descriptor, Buffer.alloc(8), 0, 8, 0, (error, _count, buffer) => error ? reject(error) : resolve(String(buffer))))',
    ],
    [
      'fs.readSync',
      'async () => { const buffer = Buffer.alloc(8); fs.readSync(descriptor, buffer, 0, 8, 0); return String(buffer); }',
    ],
    [
      'fs.readv',
      '() => new Promise((resolve, reject) => fs.readv(descriptor, [Buffer.alloc(8)], 0, (error, _count, buffers) => error ? reject(error) : resolve(String(buffers[0]))))',
    ],
    [
      'a stream',
      'async () => String((await fs.createReadStream("", { fd: descriptor, start: 0, autoClose: false }).toArray())[0])',
    ],
  ];

  test.for(shapes)('%s fails while it is broken, and works before and after', async ([, source]) => {
    await using subject = await start(`(globalThis.descriptor = undefined, async (file) => {
      globalThis.descriptor ??= fs.openSync(file);
      return await (${source})();
    })`);
    const read = () => subject.evaluate((kata, path) => kata.read(path), file);

    const before = await read();
    const descriptors = await openDescriptors(subject, file);
    await breakDescriptors(subject, descriptors, file, folder);
    const broken = await read().catch((error: Error) => error.message);
    await mendDescriptors(subject, descriptors, file, folder);
    const after = await read();

    expect(descriptors).toHaveLength(1);
    expect(before).toBe('its text');
    expect(broken).toContain('EISDIR');
    expect(after).toBe('its text');
  });

  test('is seen by a module that closes at once what it cannot read', async () => {
    await using subject = await start(`(globalThis.seen = undefined, async (file) => {
      const descriptor = fs.openSync(file);
      const reading = setInterval(() => {
        try {
          fs.readSync(descriptor, Buffer.alloc(8), 0, 8, 0);
        } catch (error) {
          fs.closeSync(descriptor);
          clearInterval(reading);
          seen = error.code;
        }
      });
    })`);
    await subject.evaluate((kata, path) => kata.read(path), file);

    await breakDescriptors(subject, await openDescriptors(subject, file), file, folder);

    const seen = () => subject.evaluate(() => (globalThis as unknown as { seen?: string }).seen);
    await until(async () => (await seen()) !== undefined);
    expect(await seen()).toBe('EISDIR');
  });

  test('leaves the other descriptors of the same file alone', async () => {
    await using subject = await start(`(globalThis.open = [], async (file) => {
      if (open.length === 0) open.push(fs.openSync(file), fs.openSync(file), fs.openSync(file));
      return open.map((one) => { try { return fs.readFileSync(one, "utf8").length && "read"; } catch (error) { return error.code; } }).join();
    })`);
    await subject.evaluate((kata, path) => kata.read(path), file);
    const descriptors = await openDescriptors(subject, file);

    await breakDescriptors(subject, [descriptors[1]!], file, folder);
    // A lower number is free while the third is broken.
    await subject.evaluate((_kata, one) => process.getBuiltinModule('node:fs').closeSync(one), descriptors[0]!);
    await breakDescriptors(subject, [descriptors[2]!], file, folder);

    expect(await subject.evaluate((kata, path) => kata.read(path), file)).toBe('EBADF,EISDIR,EISDIR');
  });
});

/** What the module had read of the file while the disk was stuck, and after its release. */
async function readWhileStuck(subject: Subject<{ read(path: string): Promise<string> }>) {
  await using disk = await stickDisk(subject, workspace);
  let text: string | undefined;
  const reading = subject.evaluate((kata, path) => kata.read(path), file).then((answer) => (text = answer));
  await subject.turns(1000);
  const seen = text;
  await disk.release();
  await reading;
  return { seen, text };
}

let modules = 0;

async function start(read: string): Promise<Subject<{ read(path: string): Promise<string> }>> {
  const module = join(workspace, `module-${++modules}.ts`);
  await writeFile(module, `import fs from 'node:fs';\nexport const read = ${read};`);
  return await startModule(module, { needs: ['read-files'], workspace });
}
