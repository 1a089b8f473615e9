// Path: steady-clock.ts. Window: the clock of the machine is set while a judge works.
// Invariant: time in the judge goes on as it did.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

test('a clock that is set by hours changes nothing for the judge', async () => {
  const script = `const wall = Date.now;
    let setByMs = 0;
    Date.now = () => wall() + setByMs;
    await import(${JSON.stringify(join(import.meta.dirname, 'steady-clock.ts'))});
    const before = Date.now();
    setByMs = 5 * 3_600_000;
    console.log(JSON.stringify([before - wall(), Date.now() - before]));`;

  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);

  const [apartMs, passedMs] = JSON.parse(stdout) as [number, number];
  expect(Math.abs(apartMs), 'ms apart from the clock on the wall at the beginning').toBeLessThan(60_000);
  expect(passedMs, 'ms between two looks').toBeLessThan(60_000);
});
