// Plain JavaScript, for the keeper starts without a transform.

/**
 * Ends a process and, on POSIX, the group that it leads. Harmless when it is gone, but some time after that its number may be
 * another's.
 *
 * @param {number | undefined} pid
 * @param {NodeJS.Signals} [signal]
 */
export function killGroup(pid, signal = 'SIGKILL') {
  if (pid === undefined) return;
  // Windows has no groups, and a process need not lead one.
  for (const target of [-pid, pid]) {
    try {
      process.kill(target, signal);
      return;
    } catch {
      // It is gone, or it is no group.
    }
  }
}
