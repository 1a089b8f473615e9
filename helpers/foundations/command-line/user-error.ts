/** The user can mend this: one sentence that says what to do. A command prints it and ends with exit code 2. */
export class UserError extends Error {
  override readonly name: string = 'UserError';
}
