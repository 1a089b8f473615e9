import type { ChildProcess } from 'node:child_process';
import { killGroup } from '../../foundations/processes/kill-group.js';
import { spawnLeashed } from '../../foundations/processes/spawn-leashed.ts';
import { settles } from '../../foundations/waiting/until.ts';

/** For a program that never comes to its end. */
const limitMs = 10 * 60_000;

/** How a program ended, and what it printed. */
export interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** npm, in a process group that ends with the scope that holds it, and with this process. */
export class NpmRun implements Disposable {
  readonly ended: Promise<Ended>;
  output = '';
  readonly #child: ChildProcess;

  constructor(folder: string, env: NodeJS.ProcessEnv, args: readonly string[]) {
    const isWindows = process.platform === 'win32';
    this.#child = spawnLeashed('npm', args, { cwd: folder, env, detached: !isWindows, shell: isWindows });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    this.ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve({ code: null, output: error.message }));
      this.#child.once('close', (code) => resolve({ code, output: this.output }));
    });
  }

  end(input: string): void {
    this.#child.stdin?.on('error', () => undefined).end(input);
  }

  /** Comes back when a text has been printed, from an offset on, or when the program has ended without it. */
  async said(text: RegExp, offset = 0): Promise<void> {
    const printed = new Promise<void>((resolve) => {
      const look = () => text.test(this.output.slice(offset)) && resolve();
      this.#child.stdout?.on('data', look);
      look();
    });
    await settles(Promise.race([printed, this.ended]), limitMs);
  }

  [Symbol.dispose](): void {
    if (this.#child.exitCode === null) killGroup(this.#child.pid, 'SIGINT');
  }
}
