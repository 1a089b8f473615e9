import { UserError } from './user-error.ts';

/**
 * Runs a command's main function and ends the process with the exit code that it gives back. What the user can mend is
 * one sentence on standard error and exit code 2; anything else is a defect of ours and shows its stack, exit code 70.
 */
export async function runCommand(main: () => Promise<number>): Promise<void> {
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
