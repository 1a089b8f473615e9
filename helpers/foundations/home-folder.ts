import { homedir } from 'node:os';

/** The home folder of whoever runs this; undefined where neither HOME nor the system's list of accounts names one. */
export function homeFolder(env: NodeJS.ProcessEnv = process.env): string | undefined {
  if (process.platform !== 'win32' && env['HOME']) return env['HOME'];
  try {
    return homedir();
  } catch {
    return undefined;
  }
}
