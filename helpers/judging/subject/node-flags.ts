import { realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { packageFolders } from './allowed-packages.ts';
import { chosenSandbox } from './sandbox.ts';
import type { SubjectOptions } from './subject-types.ts';

export const hostFile = join(import.meta.dirname, 'inside/host.js');
/** All of the judge's code that a subject loads. A subject may read this folder, its packages and its workspace, and nothing else. */
const insideFolder = dirname(hostFile);
const heapLimitMiB = 1024;
/**
 * Objects have the same size at each run only while nothing is optimised, and no bytecode is thrown away and made again. With
 * them a leak of 200 B a connection can be told; without them it cannot.
 */
const exactHeap = ['--no-opt', '--no-maglev', '--no-sparkplug', '--no-flush-bytecode', '--single-threaded-gc'];
/** The variables of the runner's environment that a subject gets to see. */
const passedOn = ['LANG', 'LC_ALL', 'SystemRoot'];
/** Half an hour off, and the same everywhere: what takes local time for UTC must not pass on some machines. */
const timeZone = 'Asia/Kolkata';

/** The environment of a subject. */
export function subjectEnvironment(): Record<string, string> {
  const kept = passedOn.flatMap((name) => (process.env[name] ? [[name, process.env[name]] as const] : []));
  return { ...Object.fromEntries(kept), TZ: timeZone };
}

/** The flags of Node's that hold a subject. */
export function nodeFlags({ needs = [], workspace, inspect = false, collectsEarly = false }: SubjectOptions): string[] {
  const isContained = chosenSandbox() === 'docker';
  const folders = [...packageFolders(), insideFolder];
  const allows = new Set<string>(needs.map((need) => (need === 'mysql' ? 'net' : need)));
  if (inspect) allows.add('inspector');
  // A thread has modules of its own, where nothing holds back what may be started.
  if (allows.has('worker') && allows.has('child-process'))
    throw new Error('A kata can need worker or child-process, but not both.');
  // Both names of the workspace too: the system's temporary folder is a link on macOS.
  const workspaces = workspace === undefined ? [] : [workspace, realpathSync(workspace)];
  return [
    ...(needs.includes('heap') ? exactHeap : []),
    ...(collectsEarly ? ['--max-semi-space-size=4'] : []),
    ...(inspect ? ['--inspect=127.0.0.1:0'] : []),
    '--enable-source-maps',
    '--disable-warning=ExperimentalWarning',
    // Node warns of --allow-child-process; see inside/children.js.
    ...(allows.has('child-process') ? ['--disable-warning=PERM0002'] : []),
    // It says that threads may leave the permission model. inside/threads.js sees to it that they do not.
    ...(needs.includes('worker') ? ['--disable-warning=SecurityWarning'] : []),
    // So that a module that takes memory without end is ended before the machine feels it.
    `--max-old-space-size=${heapLimitMiB}`,
    '--permission',
    // The permission model does not look at what it opens.
    '--no-experimental-sqlite',
    ...folders.map((folder) => `--allow-fs-read=${folder}`),
    ...(allows.has('read-files') ? workspaces.map((folder) => `--allow-fs-read=${folder}`) : []),
    ...(allows.has('write-files') ? workspaces.map((folder) => `--allow-fs-write=${folder}`) : []),
    // Node 24 has no --allow-net, and does not hold the network back; the image has it.
    ...[...allows]
      .map((need) => `--allow-${need}`)
      .filter((flag) => process.allowedNodeEnvironmentFlags.has(flag) || (isContained && flag === '--allow-net')),
  ];
}

/** What a subject sees of this machine from inside a container. Its own source is sent to it. */
export function containerView({ needs = [], workspace }: SubjectOptions) {
  const packages = join(repositoryRoot, 'node_modules');
  const readable = [packages, realpathSync(packages), join(repositoryRoot, 'package.json'), insideFolder];
  return {
    readable,
    workspace: workspace === undefined ? undefined : { folder: workspace, isWritable: needs.includes('write-files') },
  };
}
