import { open } from 'node:fs/promises';

const megabyte = 1024 * 1024;
const sampleBytes = 16;

/** How many percent of the bytes are the same at the same place. */
export function percentEqual(one: Buffer, other: Buffer): number {
  const equal = one.reduce((count, byte, index) => count + Number(byte === other[index]), 0);
  return (100 * equal) / Math.max(1, one.length);
}

/** 16 bytes from every place that is a multiple of `apart`. */
export function samplesOf(bytes: Buffer, apart: number): Buffer[] {
  const from = 4096;
  const count = Math.floor((bytes.length - from - sampleBytes) / apart);
  return Array.from({ length: count }, (_, index) => bytes.subarray(from + index * apart).subarray(0, sampleBytes));
}

/** Whether 16 bytes of one are somewhere in the other, too. Bytes that hardly differ from each other are no more than a size. */
export function haveRunInCommon(one: Buffer, other: Buffer): boolean {
  const half = sampleBytes / 2;
  for (let at = 0; at + half <= one.length; at += half) {
    const block = one.subarray(at, at + half);
    const found = new Set(block).size >= half - 2 ? other.indexOf(block) : -1;
    if (found === -1) continue;
    let [before, after] = [0, half];
    while (before < at && before < found && one[at - before - 1] === other[found - before - 1]) before++;
    while (at + after < one.length && one[at + after] === other[found + after]) after++;
    if (before + after >= sampleBytes) return true;
  }
  return false;
}

/** After how many bytes the 16 bytes at this place of the file come again; undefined when they don't. */
export async function comesAgainAfter(path: string, place: number): Promise<number | undefined> {
  const sample = Buffer.alloc(sampleBytes);
  const chunk = Buffer.alloc(megabyte + sampleBytes - 1);
  await using file = await open(path);
  await file.read(sample, 0, sampleBytes, place);
  for (let from = place + 1; ; from += megabyte) {
    const { bytesRead } = await file.read(chunk, 0, chunk.length, from);
    const found = chunk.subarray(0, bytesRead).indexOf(sample);
    if (found !== -1) return from + found - place;
    if (bytesRead < chunk.length) return undefined;
  }
}
