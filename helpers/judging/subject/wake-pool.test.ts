import { readFileSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { startModule } from './subject.ts';
import { until } from '../../foundations/waiting/until.ts';

test.skipIf(process.platform !== 'linux')(
  'the thread pool of a process in which nothing happens is woken, and the process itself may end',
  async () => {
    const module = join(await testFolder(afterAll), 'idle.ts');
    await writeFile(module, 'export const idle = true;');
    await using subject = await startModule(module);
    const before = poolSwitches(subject.pid);

    expect(await until(() => poolSwitches(subject.pid) > before, 10_000), 'a thread of the pool has run').toBe(true);
    const kept = await subject.evaluate((_kata, _args, _kept, { timers }) => timers());
    expect(kept, 'timers that keep the process').toBe(0);
  },
);

/** How often the threads of the process's pool have gone to sleep so far. */
function poolSwitches(pid: number): number {
  let switches = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const text = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
    if (/^Name:\s+libuv-worker$/m.test(text)) switches += Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(text)?.[1]);
  }
  return switches;
}
