/*
breaks: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
why: Every method exists and does nothing, so nothing goes wrong either.
ask: Which of your tests would pass for a class that does nothing?
*/
import type { Emitter, EventName, Listener } from '../../../../katas/event-emitter/event-emitter.ts';

export class EventEmitter implements Emitter {
  on(_event: EventName, _listener: Listener): this {
    return this;
  }

  once(_event: EventName, _listener: Listener): this {
    return this;
  }

  off(_event: EventName, _listener: Listener): this {
    return this;
  }

  emit(_event: EventName, ..._args: unknown[]): boolean {
    return false;
  }

  listenerCount(_event: EventName): number {
    return 0;
  }

  listeners(_event: EventName): Listener[] {
    return [];
  }
}

export async function* on(): AsyncIterableIterator<unknown[]> {}
