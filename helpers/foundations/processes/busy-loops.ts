import { spawnLeashed } from './spawn-leashed.ts';

/** Keeps the machine busy with `count` endless loops in processes of their own, for as long as it is not disposed. */
export function startBusyLoops(count: number): Disposable {
  const loops = Array.from({ length: count }, () =>
    spawnLeashed(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }),
  );
  return {
    [Symbol.dispose]() {
      for (const loop of loops) loop.kill('SIGKILL');
    },
  };
}
