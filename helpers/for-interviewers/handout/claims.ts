import type { Ended } from './npm-run.ts';

/** What was claimed and seen; one line each. */
export class Claims {
  passed = 0;
  failed = 0;

  hold(claim: string, held: boolean, seen: readonly string[]): void {
    if (held) this.passed += 1;
    else this.failed += 1;
    print(`${held ? '✓' : '✗'} ${claim}`);
    if (!held) for (const line of seen) print(line.replace(/^/gm, '    '));
  }

  ended(what: string, { code, output }: Ended, expected: number): void {
    this.hold(`${what} ends with exit code ${expected}`, code === expected, [`exit code ${code}`, output.slice(-4000)]);
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
