import { fromOutside, ofThisThread } from '../../foundations/processes/proc.ts';
import type { Gauged } from './gauges.ts';

/** One of those that do the work: a subject, the id of a process on this machine, or the thread that measures. */
export type Worker = Pick<Gauged, 'fromOutside'> | number | 'this thread';

/**
 * Begins to measure how long a piece of work takes that these workers do between them: by the clock, without the time in
 * which their threads wanted a processor and had none. Of threads that wait at the same moment each counts, so it is not less
 * than the CPU time that they used, unless several cores made the work quicker than that. A busy machine makes it no longer, and
 * who sleeps gains nothing. Without workers it is the time by the clock.
 * @returns what has been spent so far, in ms, to steps of 10 ms
 * @throws Error where there is no /proc, when there are workers
 */
export async function beginWork(workers: readonly Worker[]): Promise<() => Promise<number>> {
  const read = async (figure: 'cpuMs' | 'waitedForCpuMs') => {
    let sumMs = 0;
    for (const worker of workers) {
      if (worker === 'this thread') sumMs += ofThisThread()[figure];
      else sumMs += typeof worker === 'number' ? fromOutside[figure](worker) : await worker.fromOutside(figure);
    }
    return sumMs;
  };
  const [cpuBefore, waitedBefore] = [await read('cpuMs'), await read('waitedForCpuMs')];
  const beganAt = performance.now();
  return async () => {
    const clockMs = performance.now() - beganAt;
    if (workers.length === 0) return clockMs;
    const [cpuMs, waitedMs] = [(await read('cpuMs')) - cpuBefore, (await read('waitedForCpuMs')) - waitedBefore];
    return Math.min(clockMs, Math.max(cpuMs, clockMs - waitedMs));
  };
}
