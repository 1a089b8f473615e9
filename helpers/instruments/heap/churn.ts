import type { Subject } from '../../judging/subject/subject.ts';
import { growthBesideStep } from '../../judging/verdict/theil-sen.ts';
import { type HeapFigures, collect } from './heap-figures.ts';

export interface ChurnOptions {
  readonly subject: Pick<Subject<never>, 'probe'>;
  /** One round of what comes and goes. Everything that it started has ended when it resolves. */
  readonly cycle: () => Promise<unknown>;
  /** How many come and go in one cycle. */
  readonly perCycle: number;
  /** Cycles before the first measured one, in which code is compiled and tables grow. Default 3. */
  readonly warmUp?: number;
  /** Cycles measured. Default 8. */
  readonly cycles?: number;
  /** What counts, in bytes. Default `heapUsed`; the bytes of Buffers and typed arrays are in `arrayBuffers`. */
  readonly bytesOf?: (figures: HeapFigures) => number;
  /** Hears what was measured, in bytes, before the first measured cycle (0) and after each of them. */
  readonly onHeap?: (cycle: number, bytes: number) => void;
}

/** The probe's own code grows by a kilobyte a time until it has run so often in a process. */
const probeWarmUp = 10;
const warmed = new WeakSet<object>();

/**
 * What each of those who come and go leaves in memory, in bytes: the growth over the cycles by `growthBesideStep`, so that a table
 * which grows once, or comes and goes, says nothing. Needs a subject whose kata names `heap`: with V8's compilers at work, sizes differ
 * from run to run by more than a small leak.
 */
export async function growthPerVisit({
  subject,
  cycle,
  perCycle,
  warmUp = 3,
  cycles = 8,
  bytesOf = ({ heapUsed }) => heapUsed,
  onHeap,
}: ChurnOptions): Promise<number> {
  for (let round = 0; round < warmUp; round++) await cycle();
  if (!warmed.has(subject)) for (let time = 0; time < probeWarmUp; time++) await collect(subject);
  warmed.add(subject);
  const heap: number[] = [];
  for (let round = 0; round <= cycles; round++) {
    if (round > 0) await cycle();
    const bytes = bytesOf(await collect(subject));
    heap.push(bytes);
    onHeap?.(round, bytes);
  }
  return growthBesideStep(heap) / perCycle;
}
