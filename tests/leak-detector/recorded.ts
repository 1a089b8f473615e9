import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClassRow } from '../../katas/leak-detector/leak-detector.ts';
import type { Dice, Heap } from './heaps.ts';

/** What record.ts wrote. */
interface Recorded {
  readonly windowSize: number;
  readonly kilobytes: Readonly<Record<'saw' | 'cache' | 'leak', readonly number[]>>;
  readonly snapshots: readonly (readonly ClassRow[])[];
}

const { windowSize, kilobytes, snapshots } = JSON.parse(
  readFileSync(join(import.meta.dirname, 'recorded.json'), 'utf8'),
) as Recorded;
/** The classes of the recorded program; all others are Node's and V8's own. */
const ownClasses = ['Session', 'CachedPage', 'Mark', 'Job'];

/** A recorded heap, from a drawn sample on, and made larger by a drawn factor. */
export function recordedHeap(name: keyof Recorded['kilobytes'], dice: Dice): Heap {
  const recorded = kilobytes[name].slice(dice.whole(0, windowSize / 2));
  const factor = dice.magnitude(1, 20) * 1024;
  const [intervalMs, last] = [30_000, recorded.length - 1];
  return {
    about: `recorded ${name} (windowSize ${windowSize})`,
    windowSize,
    intervalMs,
    values: recorded.map((size) => Math.round(size * factor)),
    leaksFrom: name === 'leak' ? [0] : [],
    bytesPerHour: (((recorded[last]! - recorded[0]!) * factor) / last / intervalMs) * 3_600_000,
  };
}

/** Some of the recorded snapshots in the order of time, with drawn names and rows in a drawn order. */
export function recordedSnapshots(chosen: readonly number[], dice: Dice): ClassRow[][] {
  const names = new Map(ownClasses.map((name) => [name, drawName(dice)]));
  return chosen.map((number) =>
    dice.shuffled(snapshots[number]!.map((row) => ({ ...row, name: names.get(row.name) ?? row.name }))),
  );
}

/** How many snapshots were recorded. */
export const snapshotCount = snapshots.length;

function drawName(dice: Dice): string {
  const letters = Array.from({ length: 8 }, () => String.fromCharCode(dice.whole(97, 122))).join('');
  return `${letters[0]!.toUpperCase()}${letters.slice(1)}`;
}

/** The rule of the README, written for clarity. */
export function growingOf(series: readonly (readonly ClassRow[])[]): string | null {
  const names = new Set(series.flatMap((rows) => rows.map(({ name }) => name)));
  const growing = [...names]
    .filter((name) => !name.startsWith('('))
    .map((name) => ({ name, bytes: series.map((rows) => rows.find((row) => row.name === name)?.bytes ?? 0) }))
    .filter(({ bytes }) => bytes.slice(1).every((size, at) => size > bytes[at]!))
    .map(({ name, bytes }) => ({ name, growth: bytes.at(-1)! - bytes[0]! }))
    .sort((one, other) => other.growth - one.growth);
  return growing[0]?.name ?? null;
}
