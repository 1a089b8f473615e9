import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { existsSync } from 'node:fs';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { leashedFolder } from '../../foundations/processes/leashed-folder.ts';
import { runToEnd } from '../../foundations/processes/run-to-end.ts';
import {
  type CollectLimits,
  type Collected,
  type Found,
  levelsOf,
  manifestName,
  missing,
  tooLarge,
} from './collect.ts';
import { harmlessLine } from '../../foundations/sanitizing/harmless.ts';

export interface GitSource {
  readonly url: string;
  readonly ref: string;
}

const ownRef = 'refs/candidate';

/** Whether this is an address for git: a URL, or `user@host:path`. */
export function isGitUrl(source: string): boolean {
  return /^(?:https?|ssh|git|file):\/\//.test(source) || /^[\w.-]+@[\w.-]+:(?!\\)/.test(source);
}

/**
 * Cuts `url#ref`; without a ref it is HEAD.
 * @throws UserError when the ref is none that git would take
 */
export function readGitSource(source: string): GitSource {
  const at = source.lastIndexOf('#');
  if (at === -1) return { url: source, ref: 'HEAD' };
  const [url, ref] = [source.slice(0, at), source.slice(at + 1)];
  if (!/^[\w][\w./@+-]*$/.test(ref) || ref.includes('..'))
    throw new UserError(`"${harmlessLine(ref)}" is not a branch, tag or commit. Write the repository as URL#ref.`);
  return { url, ref };
}

/**
 * Takes each kata's file from a git repository without ever checking it out: one commit is fetched into an empty
 * repository in a temporary folder, and the blobs are read by their ids, after a look at their kind and size.
 * @throws UserError when the commit cannot be fetched
 */
export async function collectFromGit(
  { url, ref }: GitSource,
  slugs: readonly string[],
  limits: CollectLimits,
): Promise<Collected> {
  const source = `${withoutPassword(url)}${ref === 'HEAD' ? '' : `#${ref}`}`;
  await using folder = await leashedFolder(tmpdir(), 'kata-fetch-');
  const git = new Git(folder.path, limits);
  await git.run(['init', '--bare', '--quiet', '--template=']);
  const from = isGitUrl(url) ? url : resolve(url);
  try {
    await git.run([
      'fetch',
      '--quiet',
      '--depth=1',
      '--no-tags',
      '--no-recurse-submodules',
      '--no-write-fetch-head',
      // Only for a repository on this machine: its own settings must start nothing.
      ...(existsSync(from)
        ? ['--upload-pack=git -c core.hooksPath=/dev/null -c core.fsmonitor=false upload-pack']
        : []),
      '--',
      from,
      `+${ref}:${ownRef}`,
    ]);
  } catch (error) {
    const why = harmlessLine((error as Error).message.replaceAll(url, withoutPassword(url)));
    throw new UserError(
      `${source} cannot be fetched: ${why} Is the address right, and #ref a branch, tag or full commit?`,
    );
  }
  const commit = (await git.run(['rev-parse', '--verify', `${ownRef}^{commit}`])).toString('utf8').trim();
  const { tree, isFlat } = await layoutOf(git, slugs);
  const found = new Map<string, Found>();
  for (const slug of slugs)
    found.set(slug, await findInTree(git, tree, isFlat ? [`${slug}.ts`] : levelsOf(slug), limits));
  const manifest = await findInTree(git, tree, [manifestName], limits);
  const text = 'bytes' in manifest ? manifest.bytes.toString('utf8') : undefined;
  return { source, kind: 'git', commit, found, notes: [], isFlat, manifest: text };
}

/** Where the files lie: in their folders or beside each other; at the top or in the one folder that is there. */
async function layoutOf(git: Git, slugs: readonly string[]): Promise<{ tree: string; isFlat: boolean }> {
  const kindOf = (entries: readonly TreeEntry[]) => {
    const lower = new Set(entries.map(({ name }) => name.toLowerCase()));
    if (lower.has('katas')) return 'folders';
    return slugs.some((slug) => lower.has(`${slug}.ts`)) ? 'flat' : undefined;
  };
  const top = `${ownRef}^{tree}`;
  const entries = await git.listTree(top);
  const kind = kindOf(entries);
  if (kind !== undefined) return { tree: top, isFlat: kind === 'flat' };
  const [only, ...others] = entries.filter(({ type, name }) => type === 'tree' && !name.startsWith('.'));
  const inner = only && others.length === 0 ? kindOf(await git.listTree(only.id)) : undefined;
  return only && inner !== undefined ? { tree: only.id, isFlat: inner === 'flat' } : { tree: top, isFlat: false };
}

async function findInTree(git: Git, tree: string, levels: readonly string[], limits: CollectLimits): Promise<Found> {
  const path = levels.join('/');
  let object = tree;
  for (const [depth, name] of levels.entries()) {
    const shown = levels.slice(0, depth + 1).join('/');
    const entries = await git.listTree(object);
    const entry = entries.find((one) => one.name === name);
    if (!entry) {
      const other = entries.find((one) => one.name.toLowerCase() === name.toLowerCase());
      return missing(shown, other?.name);
    }
    if (entry.mode === '120000') return { fault: `${shown} is a symbolic link, which is not followed.` };
    if (entry.mode === '160000') return { fault: `${shown} is a submodule, which is not fetched.` };
    const isLast = depth === levels.length - 1;
    if (entry.type !== (isLast ? 'blob' : 'tree'))
      return { fault: `${shown} is not a ${isLast ? 'regular file' : 'folder'}.` };
    if (isLast && entry.bytes > limits.fileBytes) return { fault: tooLarge(path, entry.bytes, limits) };
    object = entry.id;
  }
  const bytes = await git.run(['cat-file', 'blob', object]);
  return bytes.length > limits.fileBytes ? { fault: tooLarge(path, bytes.length, limits) } : { bytes };
}

interface TreeEntry {
  readonly mode: string;
  readonly type: string;
  readonly id: string;
  readonly bytes: number;
  readonly name: string;
}

/** Git in an empty repository. It asks nobody for passwords, runs no code of a repository, and reads no settings but these. */
class Git {
  readonly #folder: string;
  readonly #limits: CollectLimits;

  constructor(folder: string, limits: CollectLimits) {
    this.#folder = folder;
    this.#limits = limits;
  }

  async listTree(object: string): Promise<TreeEntry[]> {
    const text = (await this.run(['ls-tree', '-z', '-l', '--full-tree', object])).toString('utf8');
    return text
      .split('\0', this.#limits.entries)
      .filter(Boolean)
      .map((line) => {
        const [, mode, type, id, size, name] = /^(\d+) (\w+) ([\da-f]+) +(\d+|-)\t([^]*)$/.exec(line) ?? [];
        return { mode: mode ?? '', type: type ?? '', id: id ?? '', bytes: Number(size ?? 0), name: name ?? '' };
      });
  }

  /** Runs one git command; its standard output, at most as much as a tree or a file may be. */
  async run(args: readonly string[]): Promise<Buffer> {
    const settings = {
      'core.hooksPath': '/dev/null',
      'core.fsmonitor': 'false',
      'core.bigFileThreshold': '1m',
      'credential.helper': '',
      'fetch.fsckObjects': 'true',
      'gc.auto': '0',
      'maintenance.auto': 'false',
      'pack.threads': '1',
      'protocol.ext.allow': 'never',
      'submodule.recurse': 'false',
    };
    const words = ['git', ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]), ...args];
    return await runHeld(limitedFiles(words, this.#limits.sourceBytes), {
      cwd: this.#folder,
      env: {
        PATH: process.env.PATH,
        SystemRoot: process.env.SystemRoot,
        SSH_AUTH_SOCK: process.env.SSH_AUTH_SOCK,
        HOME: this.#folder,
        LC_ALL: 'C',
        GIT_DIR: this.#folder,
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_CONFIG_GLOBAL: process.platform === 'win32' ? 'NUL' : '/dev/null',
        GIT_TERMINAL_PROMPT: '0',
        GIT_ASKPASS: 'false',
        SSH_ASKPASS: 'false',
        GIT_SSH_COMMAND: 'ssh -o BatchMode=yes',
        GIT_ALLOW_PROTOCOL: 'https:http:ssh:git:file',
        GIT_NO_LAZY_FETCH: '1',
        GIT_LFS_SKIP_SMUDGE: '1',
        GIT_OPTIONAL_LOCKS: '0',
      },
      timeMs: this.#limits.timeMs,
    });
  }
}

/** No file that it writes, so no pack that it fetches, may be longer than this. The system holds that where it can. */
function limitedFiles(words: readonly string[], bytes: number): string[] {
  if (process.platform === 'win32') return [...words];
  return ['/bin/sh', '-c', `ulimit -f ${Math.ceil(bytes / 512)} && exec "$@"`, 'sh', ...words];
}

/** What a command may print: a tree of many names. */
const outputBytes = 16 * 1024 * 1024;

async function runHeld(
  [command, ...args]: string[],
  options: { cwd: string; env: NodeJS.ProcessEnv; timeMs: number },
): Promise<Buffer> {
  const { code, signal, met, stdout, stderr, isMissing } = await runToEnd(command!, args, { ...options, outputBytes });
  if (isMissing) throw new UserError('There is no git on this machine; install it, or send a folder or an archive.');
  if (met === undefined && code === 0) return stdout;
  const last = stderr.split('\n').findLast((line) => line.trim() !== '');
  const isLarge = signal === 'SIGXFSZ' || /File too large|died of signal 25/.test(stderr);
  const limit = {
    time: `it took longer than ${options.timeMs / 1000} s`,
    output: `it says more than ${outputBytes / 1024 / 1024} MiB`,
  };
  const why = met ? limit[met] : isLarge ? 'it is too large' : (last ?? `git ended with ${code ?? signal}`);
  throw new Error(`${why}.`.replace(/\.\.$/, '.'));
}

/** An address without its account, which may contain a token. */
function withoutPassword(url: string): string {
  return harmlessLine(url.replace(/^(\w+:\/\/)[^/@]*@/, '$1'));
}
