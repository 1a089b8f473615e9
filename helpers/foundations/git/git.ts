import { devNull } from 'node:os';
import { UserError } from '../command-line/user-error.ts';
import { runToEnd } from '../processes/run-to-end.ts';

/** Settings that a user's configuration could change. That configuration is not read at all. */
const neutral = {
  'core.hooksPath': devNull,
  'core.autocrlf': 'false',
  'core.fsmonitor': 'false',
  'commit.gpgSign': 'false',
  'init.defaultBranch': 'main',
  'init.templateDir': '',
  'gc.auto': '0',
};

export interface GitOptions {
  /** Further variables of the environment; those of the user that begin with GIT_ are not passed on. */
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Runs git in a folder, deaf to the user's and the machine's configuration, hooks and templates, and gives back what it
 * printed.
 * @throws UserError when there is no git; Error with git's own words when it fails
 */
export async function git(folder: string, args: readonly string[], { env = {} }: GitOptions = {}): Promise<string> {
  const settings = { ...neutral, 'safe.directory': folder };
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_'));
  const run = await runToEnd(
    'git',
    [...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]), ...args],
    {
      cwd: folder,
      env: {
        ...Object.fromEntries(own),
        GIT_CONFIG_GLOBAL: devNull,
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_TERMINAL_PROMPT: '0',
        LC_ALL: 'C',
        ...env,
      },
    },
  );
  if (run.isMissing) throw new UserError('There is no git on this machine: install it, and try again.');
  if (run.code !== 0)
    throw new Error(`git ${args.join(' ')} failed: ${run.stderr.trim() || `it ended with ${run.signal ?? run.code}`}`);
  return run.stdout.toString('utf8');
}

/**
 * The commit that a clone stands on.
 * @throws UserError when `root` is no clone of its own, or has no commit
 */
export async function headCommit(root: string): Promise<string> {
  try {
    const [commit = '', prefix = ''] = (await git(root, ['rev-parse', 'HEAD', '--show-prefix'])).split('\n');
    if (prefix === '') return commit;
  } catch (error) {
    if (error instanceof UserError) throw error;
  }
  throw new UserError(
    `${root} is not a git clone with a commit, so nobody could tell which version of the katas this is: clone the repository with git.`,
  );
}
