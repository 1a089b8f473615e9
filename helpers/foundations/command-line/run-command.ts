import { takeLauncherParent } from '../settings.ts';
import { UserError } from './user-error.ts';

/**
 * Runs a command's main function and ends the process with the exit code that it gives back. What the user can mend is
 * one sentence on standard error and exit code 2; anything else is a bug of this repository and shows its stack, exit code 70.
 */
export async function runCommand(main: () => Promise<number>): Promise<void> {
  endWithParent();
  try {
    process.exitCode = await main();
  } catch (error) {
    if (error instanceof UserError) {
      process.stderr.write(`${error.message}\n`);
      process.exitCode = 2;
    } else {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      process.exitCode = 70;
    }
  }
}

/** How long a command may outlive the shell that npm started it by. */
const lookEveryMs = 250;

/**
 * npm hands SIGTERM to its shell alone, and not every shell hands it on: so a command of npm's ends when its parent is gone.
 * The launcher says who the parent was when it began, since the shell can be gone before this line runs.
 */
function endWithParent(): void {
  const parent = takeLauncherParent() ?? process.ppid;
  if (process.env.npm_lifecycle_event === undefined) return;
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, 'SIGTERM');
  }, lookEveryMs).unref();
}
