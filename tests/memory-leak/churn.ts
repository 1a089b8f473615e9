import { growthPerVisit } from '../../helpers/instruments/heap/churn.ts';
import type { Stage } from './stage.ts';

/** Clients of one cycle. */
const perCycle = 20;

/** What each client that comes, subscribes and goes leaves on the heap, in bytes; `onHeap` hears the heap after each cycle. */
export function churnOn(stage: Stage, onHeap?: (cycle: number, bytes: number) => void): Promise<number> {
  const cycle = () =>
    stage.visit(perCycle, (client) => {
      for (const topic of ['prices', 'news']) client.emit('subscribe_updates', topic);
    });
  return growthPerVisit({ subject: stage.subject, cycle, perCycle, ...(onHeap && { onHeap }) });
}
