/** Waits in a named pipe until something is written to it. It runs in the subject, also by its source alone, so it imports nothing. */
export function readPipe(_kata: unknown, pipe: string): void {
  const { closeSync, openSync, readSync } = process.getBuiltinModule('node:fs');
  const descriptor = openSync(pipe, 'r');
  readSync(descriptor, new Uint8Array(1));
  closeSync(descriptor);
}
