import type { Ended } from './npm-run.ts';
import { say } from '../../foundations/command-line/terminal.ts';

/** What was claimed and seen; one line each. */
export class Claims {
  passed = 0;
  failed = 0;

  hold(claim: string, held: boolean, seen: readonly string[]): void {
    if (held) this.passed += 1;
    else this.failed += 1;
    say(`${held ? '✓' : '✗'} ${claim}`);
    if (!held) for (const line of seen) say(line.replace(/^/gm, '    '));
  }

  ended(what: string, { code, output }: Ended, expected: number): void {
    this.hold(`${what} ends with exit code ${expected}`, code === expected, [`exit code ${code}`, output.slice(-4000)]);
  }
}
