import { type Interface, clearScreenDown, createInterface, cursorTo, moveCursor } from 'node:readline';
import type { Screen, Shell } from './shell.ts';
import { StatementReader } from './statement-reader.ts';

/** A prompt on the terminal, and the screen of the shell behind it. */
export class Prompt implements Screen {
  #lines: Interface | undefined;
  readonly #reader = new StatementReader();
  readonly #typedAhead: string[] = [];
  /** The lines of the statement that is being typed. */
  #statement: string[] = [];
  #isShown = false;
  #isWorking = false;

  get width(): number {
    // A terminal that does not tell its width says 0.
    return process.stdout.isTTY ? process.stdout.columns || 80 : Infinity;
  }

  /** Writes above the line that is being typed, which stays as it is. */
  print(text: string): void {
    const typing = this.#isShown ? this.#lines : undefined;
    if (typing && process.stdout.isTTY) {
      moveCursor(process.stdout, 0, -typing.getCursorPos().rows);
      cursorTo(process.stdout, 0);
      clearScreenDown(process.stdout);
    }
    process.stdout.write(`${text}\n`);
    if (typing) {
      setCursorRow(typing, 0);
      typing.prompt(true);
    }
  }

  /**
   * Reads and does what is typed, until the person leaves.
   * @throws UserError when the server is gone
   */
  async run(shell: Shell): Promise<void> {
    const { promise: left, resolve: leave, reject } = Promise.withResolvers<void>();
    // Made only now: a line that comes before anyone listens to it would be lost.
    const lines = createInterface({
      input: process.stdin,
      output: process.stdout,
      terminal: process.stdout.isTTY,
      historySize: 500,
      removeHistoryDuplicates: true,
    });
    this.#lines = lines;
    lines.on('line', (line) => {
      this.#isShown = false;
      this.#typedAhead.push(line);
      void this.#work(shell, lines).then((how) => how === 'leave' && lines.close(), reject);
    });
    const grown = () => setCursorRow(lines, lines.getCursorPos().rows);
    process.stdin.on('keypress', grown);
    lines.on('SIGINT', () => void this.#interrupt(shell, lines));
    lines.on('close', () => {
      if (this.#isShown) process.stdout.write('\n');
      this.#isShown = false;
      leave();
    });
    this.#show(shell, lines);
    try {
      await left;
    } finally {
      process.stdin.off('keypress', grown);
      lines.close();
    }
  }

  async #work(shell: Shell, lines: Interface): Promise<'go on' | 'leave'> {
    if (this.#isWorking) return 'go on';
    this.#isWorking = true;
    try {
      for (let count = 0; ; count++) {
        const line = this.#typedAhead.shift();
        if (line === undefined) break;
        // A pasted line was shown before the answers to those above it; now it is shown before its own answer.
        if (count > 0) process.stdout.write(`${this.#words(shell)}${line}\n`);
        if (line.trim() !== '') this.#statement.push(line);
        for (const typed of this.#reader.readLine(line)) {
          if ((await shell.take(typed)) === 'leave') return 'leave';
        }
        if (!this.#reader.isHalfTyped) this.#remember(lines);
      }
    } finally {
      this.#isWorking = false;
    }
    this.#show(shell, lines);
    return 'go on';
  }

  #words(shell: Shell): string {
    return this.#reader.isHalfTyped ? `${this.#reader.openedBy}> ` : `${shell.current}> `;
  }

  #show(shell: Shell, lines: Interface): void {
    lines.setPrompt(this.#words(shell));
    this.#isShown = true;
    lines.prompt(true);
  }

  /** Makes the lines of one statement one entry of the history. */
  #remember(lines: Interface): void {
    const { history } = lines as unknown as { history?: string[] };
    const count = this.#statement.length;
    const isWhole = history?.slice(0, count).reverse().join('\n') === this.#statement.join('\n');
    if (count > 1 && isWhole) history?.splice(0, count, this.#statement.map((line) => line.trim()).join(' '));
    this.#statement = [];
  }

  /** Ctrl-C: stops what the prompt waits for; else drops what is half-typed; else leaves. */
  async #interrupt(shell: Shell, lines: Interface): Promise<void> {
    if (shell.isBusy) {
      await shell.cancel();
    } else if (this.#isShown && (lines.line !== '' || this.#reader.isHalfTyped)) {
      this.#reader.reset();
      this.#statement = [];
      lines.write(null, { ctrl: true, name: 'e' });
      process.stdout.write('^C\n');
      lines.write(null, { ctrl: true, name: 'u' });
      this.#show(shell, lines);
    } else {
      lines.close();
    }
  }
}

/**
 * Tells node:readline in which row below the prompt the cursor stands. It does not notice by itself when a line that
 * grows at its end wraps, nor that the prompt has moved, and then draws over what is above.
 */
function setCursorRow(lines: Interface, row: number): void {
  (lines as unknown as { prevRows: number }).prevRows = row;
}
