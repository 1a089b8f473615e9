import { type Command, CommanderError } from 'commander';
import { UserError } from './user-error.ts';

/**
 * Reads the command line by `command`. Prints the help and ends with exit code 0 where that is asked for.
 * @throws UserError when an argument is not known
 */
export function parseArguments<Options>(
  command: Command,
  argv: readonly string[] = process.argv.slice(2),
): { args: string[]; options: Options } {
  command.exitOverride().configureOutput({ writeErr: () => undefined });
  try {
    command.parse(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) process.exit(0);
    const fault = error.message
      .replace(/^error: /, '')
      .replace(/\s+/g, ' ')
      .replace(/\.*$/, '.');
    throw new UserError(`${fault} See: ${command.name()} -- --help`);
  }
  return { args: command.args, options: command.opts<Options & Record<string, unknown>>() };
}
