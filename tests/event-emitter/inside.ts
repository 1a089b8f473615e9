import { inSubject } from '../../helpers/instruments/judge/in-subject.ts';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import type * as Kata from '../../katas/event-emitter/event-emitter.ts';
import { instrumentNodesEmitter, watchNodesEmitter } from './nodes-emitter.ts';
import { type History, play } from './play-history.ts';
import { type EndedLoop, type LoopHistory, type LoopSeen, endLoops, playLoops } from './play-loops.ts';
import { type Rejection, playRejections } from './play-rejections.ts';

inSubject(instrumentNodesEmitter);

/** Plays histories with the module's class; see `play`. */
export function playHistories({ kata, args: histories }: Inside<typeof Kata, readonly History[]>): string[][] {
  return play(kata, histories);
}

/** Plays the lives of iterators with the module's `on`; see `playLoops`. */
export async function playIterators({
  kata,
  args: histories,
}: Inside<typeof Kata, readonly LoopHistory[]>): Promise<LoopSeen[]> {
  return await playLoops(kata, histories);
}

/** Ends loops over the module's `on` in five ways; see `endLoops`. */
export async function endAllLoops({ kata }: Inside<typeof Kata>): Promise<EndedLoop[]> {
  return await endLoops(kata);
}

/** Lets listeners of the module's emitters reject; see `playRejections`. */
export async function rejectInListeners({
  kata,
  args: rejections,
}: Inside<typeof Kata, readonly Rejection[]>): Promise<string[][]> {
  return await playRejections(kata, rejections);
}

/** Whether the module's emitter works, and what of Node's emitters took part; see `watchNodesEmitter`. */
export async function whoseWork({ kata }: Inside<typeof Kata>) {
  return await watchNodesEmitter(kata);
}
