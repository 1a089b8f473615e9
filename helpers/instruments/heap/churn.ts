import type { Subject } from '../../judging/subject/subject.ts';
import { theilSenSlope } from '../../judging/verdict/theil-sen.ts';
import { collect } from './heap-figures.ts';

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
  /** Hears what is on the heap, in bytes, before the first measured cycle (0) and after each of them. */
  readonly onHeap?: (cycle: number, bytes: number) => void;
}

/**
 * What each of those who come and go leaves on the heap, in bytes: the Theil-Sen slope over the cycles, so that a table which
 * grows once, or comes and goes, says nothing. Needs a subject whose kata names `heap`: with V8's compilers at work, sizes differ
 * from run to run by more than a small leak.
 */
export async function growthPerVisit({
  subject,
  cycle,
  perCycle,
  warmUp = 3,
  cycles = 8,
  onHeap,
}: ChurnOptions): Promise<number> {
  for (let round = 0; round < warmUp; round++) await cycle();
  const heap: number[] = [];
  for (let round = 0; round <= cycles; round++) {
    if (round > 0) await cycle();
    const { heapUsed } = await collect(subject);
    heap.push(heapUsed);
    onHeap?.(round, heapUsed);
  }
  return theilSenSlope(heap.map((bytes, at) => [at, bytes])) / perCycle;
}
