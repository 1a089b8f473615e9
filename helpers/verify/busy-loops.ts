import { spawn } from 'node:child_process';
import { leash } from '../leash/leash.ts';

/** Keeps the machine busy with `count` endless loops in processes of their own, for as long as it is not disposed. */
export function startBusyLoops(count: number): Disposable {
  const loops = Array.from({ length: count }, () => {
    const child = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore', windowsHide: true });
    const release = child.pid === undefined ? () => undefined : leash({ kill: child.pid });
    return { child, release };
  });
  return {
    [Symbol.dispose]() {
      for (const { child, release } of loops) {
        child.kill('SIGKILL');
        release();
      }
    },
  };
}
