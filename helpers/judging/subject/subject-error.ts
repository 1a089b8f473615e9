/**
 * A subject did not answer with data. The message is one sentence that says what happened; the stack is the module's
 * own, with its own line numbers, where there is one.
 */
export class SubjectError extends Error {
  override readonly name = 'SubjectError';

  constructor(message: string, moduleStack = '') {
    super(message);
    this.stack = `SubjectError: ${message}${moduleStack && `\n${moduleStack}`}`;
  }
}
