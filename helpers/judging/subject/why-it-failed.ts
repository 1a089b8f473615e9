import { shortPath } from '../../foundations/catalogue/target.ts';
import { type FromHost, sentence } from './from-host.ts';
import { moduleStack } from './module-stack.ts';
import { SubjectError } from './subject-error.ts';

/** The answer to an order. */
export type Answer = Extract<FromHost, { id: string }>;

/** Why an order failed, in words for the module's author; undefined when it did not. `name` is the module's file. */
export function whyOrderFailed({ fault, error }: Answer, doing: string, name: string): SubjectError | undefined {
  const file = shortPath(name);
  if (fault !== undefined) return new SubjectError(`In the test of ${file}: ${fault}.`);
  if (error === undefined) return undefined;
  if (error.name === 'ChangedBuiltIn')
    return new SubjectError(
      `${file} replaced ${error.message}. The judge does not run beside changed built-ins: leave the objects of Node and of the language as they are.`,
    );
  if (error.name === 'MissingExport') return new SubjectError(`${file} has ${error.message}.`);
  return new SubjectError(`${file} threw while ${doing}: ${sentence(error)}`, moduleStack(error.stack));
}

/** How a process ended, and what was heard of it before. */
export interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
  readonly uncaught: Extract<FromHost, { event: 'uncaught' }> | undefined;
  readonly exit: Extract<FromHost, { event: 'exit' }> | undefined;
  readonly stderr: string;
}

/** Why a process ended that nobody had ended. `name` is the module's file. */
export function whyProcessEnded({ code, signal, uncaught, exit, stderr }: Ending, name: string): SubjectError {
  const file = shortPath(name);
  if (uncaught) {
    const how = uncaught.origin === 'unhandledRejection' ? 'an unhandled rejection' : 'an uncaught exception';
    return new SubjectError(
      `${file} ended its process by ${how}: ${sentence(uncaught.error)}`,
      moduleStack(uncaught.error.stack),
    );
  }
  if (stderr.includes('heap out of memory'))
    return new SubjectError(`${file} ended its process by running out of memory.`);
  if (signal !== null) return new SubjectError(`${file} had its process ended by ${signal}.`);
  const stack = moduleStack(exit?.stack ?? '');
  return new SubjectError(
    `${file} ended its process with exit code ${code}${stack ? ', by process.exit' : ''}, while its test was not done.`,
    stack,
  );
}
