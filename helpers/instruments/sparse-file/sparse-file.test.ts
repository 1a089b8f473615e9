import { createHash } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { useWorkspace } from '../../judging/subject/use-workspace.ts';
import { SparseFile } from './sparse-file.ts';

const workspace = await useWorkspace();
const mebibyte = 1024 * 1024;

test.for([0, 1, 4095, 4097, mebibyte, 2 * mebibyte + 7, 3 * mebibyte - 1000])(
  'a file of %d bytes is what its slices say',
  async (bytes) => {
    const file = await SparseFile.create(join(workspace, 'some.bin'), bytes);
    const content = await readFile(file.path);

    expect(content.length).toBe(bytes);
    expect(file.slice(0, bytes).equals(content), 'all of it').toBe(true);
    for (const [from, to] of [
      [0, 10],
      [4090, 4100],
      [mebibyte - 5, mebibyte + 5],
      [bytes - 3, bytes + 50],
    ] as const) {
      if (from < 0 || from > bytes) continue;
      expect(file.slice(from, to).equals(content.subarray(from, to)), `from ${from} to ${to}`).toBe(true);
    }
    expect(await file.sha256()).toBe(createHash('sha256').update(content).digest('hex'));
  },
);

test('its content depends on its size and its seed', async () => {
  const file = await SparseFile.create(join(workspace, 'pinned.bin'), 4 * mebibyte + 7);

  const sha256 = await file.sha256();

  const same = await SparseFile.create(join(workspace, 'same.bin'), file.bytes);
  const other = await SparseFile.create(join(workspace, 'other-seed.bin'), file.bytes, 1);

  expect(await same.sha256()).toBe(sha256);
  expect(await other.sha256()).not.toBe(sha256);
});

test('it costs next to no disk', async ({ skip }) => {
  if (process.platform === 'win32') skip('Windows stores the zeros.');
  const file = await SparseFile.create(join(workspace, 'large.bin'), 256 * mebibyte);

  const { size, blocks } = await stat(file.path);

  expect(size).toBe(256 * mebibyte);
  expect(blocks * 512, 'bytes on the disk').toBeLessThan(2 * mebibyte);
});

test('bytes that are lost, doubled, changed or out of order show, with the first wrong byte', async () => {
  const file = await SparseFile.create(join(workspace, 'compared.bin'), 3 * mebibyte + 7);
  const content = file.slice(0, file.bytes);
  const part = (from: number, to: number) => content.subarray(from, to);

  expect(file.differsAt(content, 0)).toBeUndefined();
  expect(file.differsAt(part(mebibyte, 2 * mebibyte), mebibyte)).toBeUndefined();
  expect(file.differsAt(Buffer.concat([part(0, 5), part(6, 2 * mebibyte)]), 0), 'one lost').toBe(5);
  expect(file.differsAt(part(0, mebibyte), mebibyte), 'one MiB twice').toBe(mebibyte);
  expect(file.differsAt(Buffer.from([1]), 10_000), 'changed').toBe(10_000);
  expect(
    file.differsAt(Buffer.concat([part(file.bytes - 2, file.bytes), Buffer.alloc(1)]), file.bytes - 2),
    'one too many',
  ).toBe(file.bytes);
});

test('another file is told from it by its first byte that differs, or by its end', async () => {
  const bytes = 3 * mebibyte + 7;
  const file = await SparseFile.create(join(workspace, 'one.bin'), bytes);
  const content = file.slice(0, bytes);
  const path = join(workspace, 'other.bin');
  const differsFrom = async (other: Uint8Array) => {
    await writeFile(path, other);
    return await file.differsFrom(path);
  };

  expect(await differsFrom(content)).toBeUndefined();
  for (const at of [0, 4095, 4096, mebibyte - 1, mebibyte, 2 * mebibyte + 5000, bytes - 1])
    expect(await differsFrom(content.with(at, content[at]! ^ 1)), `byte ${at} changed`).toBe(at);
  for (const length of [0, mebibyte, bytes - 1]) expect(await differsFrom(content.subarray(0, length))).toBe(length);
  expect(await differsFrom(Buffer.concat([content, Buffer.alloc(1)])), 'one too many').toBe(bytes);
});
