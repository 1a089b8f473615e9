// Loaded first in each process that a kata's module forks; see children.js. It may do no more than the module's own process, and
// has no channel to the judge. Plain JavaScript, as lockdown.js.
import { constants } from 'node:os';
import { forgetOriginals, refusal, takeAway } from './lockdown.js';

const { _kill: nativeKill, pid } = /** @type {{ _kill(pid: number, signal: number): number, pid: number }} */ (
  /** @type {unknown} */ (process)
);
const symbol = Object.getOwnPropertySymbols(process).find(({ description }) => description === 'kChannelHandle');
const channel = symbol && Reflect.get(process, symbol);
if (!channel) throw new Error("A process that is not forked is not open to a kata's module");

const writesFiles = process.execArgv.some((flag) => flag.startsWith('--allow-fs-write'));
takeAway(channel, writesFiles, (/** @type {unknown} */ target, /** @type {string | number} */ signal = 'SIGTERM') => {
  if (target !== pid) throw refusal('A signal to another process');
  nativeKill(pid, typeof signal === 'number' ? signal : Reflect.get(constants.signals, signal));
  return true;
});
forgetOriginals();
