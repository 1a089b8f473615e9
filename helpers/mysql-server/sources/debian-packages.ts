import { access, mkdir, readFile, readdir, rm, statfs, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { type RunOptions, runToEnd } from '../../foundations/processes/run-to-end.ts';
import { cached, diskRefusal, findCached, mayRun, tryCache } from '../cache-folder.ts';
import { startPrivateServer } from '../private-server.ts';
import { type ServerProgram, identifyProgram } from '../server-program.ts';
import { type MysqlServer, MysqlUnavailable, type Probe, type SourceName } from '../source.ts';
import { fastTempFolder } from '../temp-folder.ts';

/** Which packages a source wants, and from where. */
export interface DebianRecipe {
  readonly source: SourceName;
  /** For people: `MySQL`. */
  readonly title: string;
  /** The suite to take it from, on the machine's own mirror; undefined for the machine's own suites. */
  readonly suite?: string;
  /** The package that holds the server. */
  readonly serverPackage: string;
  /** Names of the server's file, the first that is there is taken. */
  readonly binaries: readonly string[];
  /** Where messages and character sets are, below `usr/share`; the first that is there is taken. */
  readonly shares: readonly string[];
}

interface Unpacked {
  readonly binary: string;
  readonly loader: string;
  readonly libraries: readonly string[];
  readonly share: string;
  readonly plugins: string | undefined;
  readonly flavour: 'mysql' | 'mariadb';
  readonly version: string;
}

interface Target {
  readonly mirror: string;
  readonly release: string;
  readonly component: string;
}

const recipeVersion = 1;
const tools = ['apt-get', 'apt-cache', 'apt-config', 'dpkg', 'dpkg-deb'];
/** How long one call of apt may take. */
const aptLimitMs = 300_000;
const lookEveryMs = 1_000;
/** Less room than that on a disk is none. */
const lastBytes = 1024 ** 2;
const remedy = 'Use Docker, or install MySQL and put mysqld on the PATH.';
/** Libraries that a server is linked with or may load; the rest of what packages depend on is for their scripts. */
const wanted = /^(lib(?!perl|c-gconv)|zlib1g|mysql|mariadb-server-core)/;

/** Whether the packages are here already, or could be fetched; asks apt for its mirror, fetches nothing. */
export async function probeDebianPackages(recipe: DebianRecipe, env: NodeJS.ProcessEnv): Promise<Probe> {
  if (process.platform !== 'linux') {
    return { serves: false, why: 'this machine does not run Debian or Ubuntu', remedy };
  }
  const found = await findCached<Unpacked>(cacheName(recipe), env);
  if (found) {
    return (await mayRun(join(found.folder, found.facts.loader)))
      ? { serves: true, detail: `${recipe.title} ${found.facts.version}, unpacked in ${found.folder}` }
      : {
          serves: false,
          why: `no program may run from ${found.folder}, as on a disk mounted noexec`,
          remedy: 'Set KATA_CACHE to a folder where programs may run, or use Docker.',
        };
  }
  try {
    for (const tool of tools) await run(tool, ['--version'], { env });
  } catch {
    return { serves: false, why: `${tools.join(', ')} are not all here`, remedy };
  }
  const fault = await tryCache(env);
  if (fault) return { serves: false, ...fault };
  try {
    const from = await findMirrors(recipe, env);
    return { serves: true, detail: `${recipe.title} from ${describe(from)}; packages are fetched on first use` };
  } catch (error) {
    return { serves: false, why: (error as Error).message, remedy };
  }
}

/**
 * Starts the server from the unpacked packages, fetching them on first use.
 * @throws MysqlUnavailable when they cannot be fetched or the server does not come up
 */
export async function startFromDebianPackages(
  recipe: DebianRecipe,
  onProgress: (line: string) => void,
  env: NodeJS.ProcessEnv,
): Promise<MysqlServer> {
  const { folder, facts } = await cached(cacheName(recipe), (target) => unpack(recipe, target, onProgress, env), env);
  return startPrivateServer(await programOf(recipe, folder, facts), onProgress, env);
}

function cacheName(recipe: DebianRecipe): string {
  return `${recipe.source}-${recipe.suite ?? 'own'}-${process.arch}-${recipeVersion}`;
}

async function programOf(recipe: DebianRecipe, folder: string, facts: Unpacked): Promise<ServerProgram> {
  const at = (path: string): string => join(folder, path);
  const share = at(facts.share);
  return {
    source: recipe.source,
    command: [at(facts.loader), '--library-path', facts.libraries.map(at).join(':'), at(facts.binary)],
    flags: [
      `--lc-messages-dir=${share}`,
      `--character-sets-dir=${join(share, 'charsets')}`,
      ...(facts.plugins === undefined ? [] : [`--plugin-dir=${at(facts.plugins)}`]),
    ],
    flavour: facts.flavour,
    version: facts.version,
    tempFolder: await fastTempFolder(),
  };
}

async function unpack(
  recipe: DebianRecipe,
  target: string,
  onProgress: (line: string) => void,
  env: NodeJS.ProcessEnv,
): Promise<Unpacked> {
  const say = (line: string): void => onProgress(`${recipe.source}: ${line}`);
  const startedMs = performance.now();
  const seconds = (): string => `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
  try {
    const sources = await findMirrors(recipe, env);
    const apt = await privateApt(join(target, '.apt'), sources, env);
    say(`fetching the package lists of ${describe(sources)}`);
    await apt('apt-get', ['update']);

    const tree = await apt('apt-cache', [
      'depends',
      '--recurse',
      ...['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'].map((kind) => `--no-${kind}`),
      recipe.serverPackage,
    ]);
    const packages = [...new Set(tree.split('\n').filter((line) => wanted.test(line)))];
    const uris = await apt('apt-get', ['download', '--print-uris', ...packages]);
    const bytes = uris.split('\n').reduce((sum, line) => sum + Number(line.split(' ')[2] ?? 0), 0);
    say(`lists read after ${seconds()}; fetching ${packages.length} packages, ${(bytes / 1e6).toFixed(0)} MB`);
    await apt('apt-get', ['download', ...packages]);
    say(`fetched after ${seconds()}; unpacking`);

    const archives = (await readdir(join(target, '.apt'))).filter((name) => name.endsWith('.deb'));
    const next = archives.values();
    const worker = async (): Promise<void> => {
      for (const archive of next) await run('dpkg-deb', ['-x', join(target, '.apt', archive), target], { env });
    };
    await Promise.all(Array.from({ length: availableParallelism() }, worker));
    for (const unused of ['.apt', 'usr/bin', 'usr/share/doc', 'usr/share/man', 'usr/share/locale']) {
      await rm(join(target, unused), { recursive: true, force: true });
    }
    const facts = await locate(recipe, target);
    say(`${recipe.title} ${facts.version} ready after ${seconds()}`);
    return facts;
  } catch (error) {
    const refusal = diskRefusal(error, dirname(target), 'KATA_CACHE');
    if (refusal instanceof MysqlUnavailable) throw refusal;
    throw new MysqlUnavailable(
      `${recipe.title} could not be fetched from the distribution's packages (${(error as Error).message}): ` +
        'check the network and the apt sources, or use Docker.',
    );
  }
}

/**
 * What to read package lists from: the machine's own mirror, as apt names it.
 * @throws Error when apt names none that serves
 */
async function findMirrors(recipe: DebianRecipe, env: NodeJS.ProcessEnv): Promise<readonly Target[]> {
  const format = '$(REPO_URI) $(RELEASE) $(COMPONENT)';
  const told = await run('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'], { env });
  const os = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const codename = /^VERSION_CODENAME=(\S+)/m.exec(os)?.[1] ?? '';
  const targets = [...new Set(told.split('\n'))].flatMap((line) => {
    const [mirror, release, component] = line.split(' ');
    return mirror && release && component ? [{ mirror, release, component }] : [];
  });
  const isDistribution = ({ mirror }: Target): boolean => /\/(debian|ubuntu)(-security|-ports)?\/?$/.test(mirror);

  if (recipe.suite === undefined) {
    const own = targets.filter((target) => isDistribution(target) || (codename && target.release.startsWith(codename)));
    if (own.length === 0) throw new Error("apt's sources name no suite of this distribution");
    return own;
  }
  if (!/^ID="?debian"?$/m.test(os)) throw new Error('this is not Debian, whose packages it takes');
  const base =
    targets.find(({ mirror }) => /\/debian\/?$/.test(mirror)) ?? targets.find(({ release }) => release === codename);
  if (!base) throw new Error("apt's sources name no Debian mirror");
  return [{ mirror: base.mirror, release: recipe.suite, component: 'main' }];
}

/** Runs apt with lists, caches and settings in `folder`, as whoever we are; the machine's own apt is left alone. */
async function privateApt(
  folder: string,
  targets: readonly Target[],
  env: NodeJS.ProcessEnv,
): Promise<(tool: string, args: readonly string[]) => Promise<string>> {
  for (const sub of ['lists/partial', 'cache/archives/partial']) await mkdir(join(folder, sub), { recursive: true });
  await writeFile(join(folder, 'status'), '');
  const keyring = await firstThere(
    ['debian', 'ubuntu'].map((name) => `/usr/share/keyrings/${name}-archive-keyring.gpg`),
  );
  const signed = keyring ? `[signed-by=${keyring}] ` : '';
  await writeFile(
    join(folder, 'sources.list'),
    targets.map(({ mirror, release, component }) => `deb ${signed}${mirror} ${release} ${component}\n`).join(''),
  );
  // How this machine reaches its mirrors (a proxy, certificates) is kept; its hooks and habits are not.
  const dump = await run('apt-config', ['dump'], { env });
  const network = dump.split('\n').filter((line) => /^Acquire::https?::/.test(line));
  const settings = {
    'Dir::State': folder,
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::State::status': join(folder, 'status'),
    'Dir::Cache': join(folder, 'cache'),
    'Dir::Etc::sourcelist': join(folder, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::Etc::main': '/dev/null',
    'Dir::Etc::parts': '/dev/null',
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
    'Debug::NoLocking': '1',
    'APT::Architectures': (await run('dpkg', ['--print-architecture'], { env })).trim(),
    'APT::Sandbox::User': '',
    'APT::Update::Error-Mode': 'any',
    'Acquire::Check-Valid-Until': 'false',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '2',
    'Acquire::http::Timeout': '20',
    'Acquire::https::Timeout': '20',
  };
  const lines = Object.entries(settings).map(([key, value]) => `${key} "${value}";`);
  const config = join(folder, 'apt.conf');
  await writeFile(config, [...network, ...lines, ''].join('\n'));
  return (tool, args) =>
    run(tool, args, {
      cwd: folder,
      env: { ...env, APT_CONFIG: config, LC_ALL: 'C' },
    });
}

/** Finds loader, libraries, server and its files in what was unpacked, and asks the server what it is. */
async function locate(recipe: DebianRecipe, root: string): Promise<Unpacked> {
  const paths = (await readdir(root, { recursive: true })).sort();
  const need = (what: string, path: string | undefined): string => {
    if (path === undefined) throw new Error(`the packages hold no ${what}`);
    return path;
  };
  const loader = need(
    'loader',
    paths.find((path) => /^(usr\/)?lib(64)?\/([\w-]+\/)?ld-linux[^/]*\.so\.\d$/.test(path)),
  );
  const libraries = paths.filter((path) => /^(usr\/)?lib\/[\w]+-linux-gnu[\w]*$/.test(path));
  const binary = need(
    'server',
    recipe.binaries.find((path) => paths.includes(path)),
  );
  const share = need(
    'messages',
    recipe.shares.find((path) => paths.includes(path)),
  );
  const plugins = paths.find((path) => /^usr\/lib\/(mysql|[\w-]+\/libmariadb.*)\/plugin$/.test(path));
  const at = (path: string): string => join(root, path);
  const identity = await identifyProgram([at(loader), '--library-path', libraries.map(at).join(':'), at(binary)]);
  return { binary, loader, libraries, share, plugins, ...identity };
}

/** For people: `sid at http://…`; an account in a mirror's address is not repeated. */
function describe(targets: readonly Target[]): string {
  const places = targets.map(({ mirror, release }) => `${release} at ${mirror.replace(/\/\/[^/@]*@/, '//')}`);
  return [...new Set(places)].join(', ');
}

async function firstThere(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths)
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  return undefined;
}

async function run(tool: string, args: readonly string[], options: Pick<RunOptions, 'cwd' | 'env'>): Promise<string> {
  const full = new AbortController();
  const watch = setInterval(() => {
    void isFull(options.cwd).then(
      (yes) => yes && full.abort(),
      () => undefined,
    );
  }, lookEveryMs);
  const { code, signal, met, stdout, stderr } = await runToEnd(tool, args, {
    ...options,
    timeMs: aptLimitMs,
    signal: full.signal,
  });
  clearInterval(watch);
  if (full.signal.aborted) throw new Error(`${tool} ${args[0]} stood still: no space left on device`);
  if (met === 'time') throw new Error(`${tool} ${args[0]} was not done after ${aptLimitMs / 1000} s`);
  if (code === 0) return stdout.toString('utf8');
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  const words = lines.filter((line) => /^(E:|dpkg-deb: error)/.test(line));
  const said = (words.length > 0 ? words : lines.slice(-2)).join(' / ');
  throw new Error(`${tool} ${args[0]} failed: ${said || `it ended with ${signal ?? `exit code ${code}`}`}`);
}

/** Whether the disk of a folder has no room left. On a full disk apt never ends. */
async function isFull(folder: RunOptions['cwd']): Promise<boolean> {
  if (folder === undefined) return false;
  const { bavail, bsize, blocks } = await statfs(folder);
  return blocks > 0 && bavail * bsize < lastBytes;
}
