import type { ChildProcess } from 'node:child_process';
import { channel } from 'node:diagnostics_channel';
import { stop as stopEsbuild } from 'esbuild';
import { afterAll } from 'vitest';
import { endLimiter } from '../../foundations/processes/proc.ts';
import { endSpares } from '../subject/start-subject.ts';
import { until } from '../../foundations/waiting/until.ts';
import { endKeeper } from '../../foundations/processes/leash.ts';
import './steady-clock.ts';

// Loaded before each test file, so that this comes after all else that the file does at its end. The file's thread ends
// then, and a process whose end it has not seen stays behind as a zombie for as long as the runner lives: thousands of them in
// a long `npm run verify`, three for each save in `npm run watch`. https://github.com/nodejs/node/issues/46569

const started: ChildProcess[] = [];
channel('child_process').subscribe((message) => void started.push((message as { process: ChildProcess }).process));

afterAll(async () => {
  await Promise.all([endSpares(), stopEsbuild()]);
  endKeeper();
  endLimiter();
  await until(() =>
    started.every(({ pid, exitCode, signalCode }) => pid === undefined || (exitCode ?? signalCode) !== null),
  );
});
