import { readFileSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { targetFile } from '../../foundations/catalogue/target.ts';
import { killGroup } from '../../foundations/processes/kill-group.js';
import { hasProc } from '../../foundations/processes/proc.ts';
import { judgeInLanes } from './judge-in-lanes.ts';

const slug = 'event-emitter';
/** So many that the process has several still to judge when it is killed. */
const modules = Array.from({ length: 12 }, (_, at) => ({
  slug,
  name: `module ${at}`,
  target: targetFile(slug, 'solutions'),
}));

test.skipIf(!hasProc)('a process that judges and is killed fails the run; no verdict is made up', async () => {
  const judged: string[] = [];

  const run = judgeInLanes(modules, { lanes: 1, mysqlServers: [] }, ({ name }) => {
    judged.push(name);
    for (const pid of childrenThatJudge()) killGroup(pid);
  });

  await expect(run).rejects.toThrow('A process that judges ended (SIGKILL) before it was done.');
  expect(judged.length).toBeLessThan(modules.length);
});

function childrenThatJudge(): number[] {
  const isOne = (pid: string) => {
    try {
      const [, parent] = /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
      return Number(parent) === process.pid && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('judge-lane.ts');
    } catch {
      // It has ended meanwhile.
      return false;
    }
  };
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isOne(name))
    .map(Number);
}
