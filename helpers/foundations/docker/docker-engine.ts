import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type RequestOptions, get } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { homeFolder } from '../home-folder.ts';

const answerLimitMs = 1_500;

/** What an engine says of itself, or why none answers. */
export type EngineAnswer =
  | {
      readonly version: string;
      /** As `DOCKER_HOST` has it. */
      readonly address: string;
      /** The folder with the certificates for that address, where a Docker context names one. */
      readonly certificates?: string;
      readonly hasImage: (image: string) => Promise<boolean>;
    }
  | { readonly why: string; readonly remedy: string };

/** An address at which an engine may be, and who says so. */
interface Told {
  readonly address: string;
  readonly by?: string;
  readonly certificates?: string;
}

/**
 * Asks the Docker engine for its version, within 2 s: where DOCKER_HOST, the file of Testcontainers or the Docker context says it
 * is, else where Docker, Podman, Colima, OrbStack, Rancher Desktop and Lima put their sockets. It speaks HTTP itself,
 * because Testcontainers takes half a second to load and waits without limit for an address that is dead.
 *
 * @param systemSocket where the machine's own engine listens; it comes first, as it does for Testcontainers
 */
export async function askEngine(
  env: NodeJS.ProcessEnv = process.env,
  systemSocket = '/var/run/docker.sock',
): Promise<EngineAnswer> {
  const told = await toldAddress(env);
  const context = told ? undefined : await toldByContext(env);
  const places = told
    ? [told]
    : [...(context ? [context] : []), ...usualAddresses(env, systemSocket).map((address) => ({ address }))];
  const tries = await Promise.all(places.map((place) => tryAddress(place, env)));
  const answer = tries.find((one) => 'version' in one);
  if (answer) return answer;

  const failures = tries.filter((one) => 'code' in one);
  const denied = failures.find(({ code }) => code === 'EACCES' || code === 'EPERM');
  if (denied) {
    return {
      why: `a Docker engine is at ${denied.shown}, but this account may not talk to it`,
      remedy: 'Add the account to the group docker and log in again.',
    };
  }
  const remote = failures.find(({ code }) => code === 'ssh');
  if (remote) {
    return {
      why: `${remote.by ?? 'DOCKER_HOST'} names the Docker engine at ${remote.shown}, which the judge cannot reach by SSH`,
      remedy: 'Set DOCKER_HOST to a socket of this machine (unix://…) or to tcp://….',
    };
  }
  const named = failures.find(({ code }) => code !== 'ENOENT') ?? (told || context ? failures[0] : undefined);
  const where = named ? ` at ${named.shown} (${named.code})` : '';
  return {
    why: `no Docker engine answers${where}`,
    remedy: told
      ? 'Start it, or correct DOCKER_HOST.'
      : 'Start Docker, or set DOCKER_HOST to where its engine listens.',
  };
}

/**
 * Asks the engine, and tells Testcontainers where it is if that would not find it there by itself. What this process starts
 * from now on finds it there too.
 */
export async function adoptEngine(env: NodeJS.ProcessEnv = process.env): Promise<EngineAnswer> {
  const engine = await askEngine(env);
  if ('version' in engine && engine.address !== firstAddress) {
    process.env['DOCKER_HOST'] = engine.address;
    if (engine.certificates !== undefined) {
      process.env['DOCKER_TLS_VERIFY'] = '1';
      process.env['DOCKER_CERT_PATH'] = engine.certificates;
    }
  }
  return engine;
}

type Try = Extract<EngineAnswer, { version: string }>;
interface Failure {
  readonly shown: string;
  readonly code: string;
  readonly by?: string;
}

async function tryAddress({ address, by, certificates }: Told, env: NodeJS.ProcessEnv): Promise<Try | Failure> {
  // An address may hold an account; it is not repeated.
  const shown = address.replace(/\/\/[^/@]*@/, '//');
  const failed = (code: string): Failure => ({ shown, code, ...(by !== undefined && { by }) });
  try {
    const target = targetOf(address);
    if (target === 'ssh') return failed('ssh');
    if (env['DOCKER_TLS_VERIFY'] || certificates !== undefined || address.startsWith('https:')) {
      await reach(target);
      return {
        address,
        version: 'behind TLS',
        hasImage: () => Promise.resolve(false),
        ...(certificates !== undefined && { certificates }),
      };
    }
    const { body } = await ask(target, '/version');
    const version = (JSON.parse(body) as { Version?: string }).Version ?? 'of unknown version';
    const hasImage = async (image: string): Promise<boolean> =>
      ask(target, `/images/${encodeURIComponent(image)}/json`).then(
        ({ status }) => status === 200,
        () => false,
      );
    return { address, version, hasImage };
  } catch (error) {
    const { code, name } = error as NodeJS.ErrnoException;
    return failed(code ?? (name === 'SyntaxError' ? 'what answers is no Docker engine' : name));
  }
}

function targetOf(address: string): RequestOptions | 'ssh' {
  const { protocol, hostname, port, pathname } = new URL(address);
  if (protocol === 'ssh:') return 'ssh';
  if (protocol === 'unix:' || protocol === 'npipe:') return { socketPath: decodeURIComponent(pathname) };
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port || 2375) };
}

/** Where Testcontainers looks first. */
const firstAddress = 'unix:///var/run/docker.sock';

function usualAddresses(env: NodeJS.ProcessEnv, systemSocket: string): readonly string[] {
  if (process.platform === 'win32') return ['npipe:////./pipe/docker_engine'];
  const home = homeFolder(env);
  const uid = process.getuid?.();
  const runtimes = [env['XDG_RUNTIME_DIR'], ...(uid === undefined ? [] : [`/run/user/${uid}`])].filter(Boolean);
  const sockets = [
    ...(home === undefined ? [] : homeSockets.map((path) => join(home, path))),
    ...runtimes.flatMap((folder) => ['docker.sock', 'podman/podman.sock'].map((path) => join(folder!, path))),
    '/run/podman/podman.sock',
  ];
  return [...new Set([systemSocket, ...sockets].map((path) => `unix://${path}`))];
}

/** Docker Desktop, Colima, OrbStack, Rancher Desktop, Lima, and Podman's machine, below the home folder. */
const homeSockets = [
  '.docker/run/docker.sock',
  '.docker/desktop/docker.sock',
  '.colima/default/docker.sock',
  '.config/colima/default/docker.sock',
  '.orbstack/run/docker.sock',
  '.rd/docker.sock',
  '.lima/docker/sock/docker.sock',
  '.local/share/containers/podman/machine/podman.sock',
];

/** What DOCKER_HOST or the file of Testcontainers says, as a URL. */
async function toldAddress(env: NodeJS.ProcessEnv): Promise<Told | undefined> {
  if (env['DOCKER_HOST']) return { address: asUrl(env['DOCKER_HOST']) };
  const home = homeFolder(env);
  if (home === undefined) return undefined;
  const text = await readFile(join(home, '.testcontainers.properties'), 'utf8').catch(() => '');
  const host = /^\s*(?:tc|docker)\.host\s*[=:]\s*(\S+)/m.exec(text)?.[1]?.replaceAll('\\:', ':');
  return host === undefined ? undefined : { address: asUrl(host), by: '~/.testcontainers.properties' };
}

/** Docker's own command takes a path and a host with a port too. */
function asUrl(host: string): string {
  if (host.startsWith('/')) return `unix://${host}`;
  return /^[\w.-]+:\d+$/.test(host) ? `tcp://${host}` : host;
}

/** What the current Docker context says: https://docs.docker.com/engine/manage-resources/contexts/ */
async function toldByContext(env: NodeJS.ProcessEnv): Promise<Told | undefined> {
  const home = homeFolder(env);
  const folder = env['DOCKER_CONFIG'] || (home === undefined ? undefined : join(home, '.docker'));
  if (folder === undefined) return undefined;
  try {
    const read = async (file: string): Promise<unknown> => JSON.parse(await readFile(join(folder, file), 'utf8'));
    const name =
      env['DOCKER_CONTEXT'] || ((await read('config.json')) as { currentContext?: string }).currentContext || 'default';
    if (name === 'default') return undefined;
    const id = createHash('sha256').update(name).digest('hex');
    const { Endpoints } = (await read(`contexts/meta/${id}/meta.json`)) as {
      Endpoints?: { docker?: { Host?: string } };
    };
    const host = Endpoints?.docker?.Host;
    if (!host) return undefined;
    const certificates = join(folder, 'contexts', 'tls', id, 'docker');
    return {
      address: asUrl(host),
      by: `the Docker context "${name}"`,
      ...(existsSync(join(certificates, 'ca.pem')) && { certificates }),
    };
  } catch {
    // No file, or none that says so.
    return undefined;
  }
}

function ask(target: RequestOptions, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = get({ ...target, path, agent: false, signal: AbortSignal.timeout(answerLimitMs) }, (response) => {
      let body = '';
      response.on('data', (chunk) => (body += String(chunk)));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.on('error', reject);
    });
    request.on('error', (error) => reject(late(error)));
  });
}

function reach(target: RequestOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: String(target.host), port: Number(target.port) });
    const alarm = setTimeout(() => socket.destroy(late(new DOMException('', 'TimeoutError'))), answerLimitMs);
    socket.on('close', () => clearTimeout(alarm));
    socket.on('error', reject);
    socket.on('connect', () => {
      socket.destroy();
      resolve();
    });
  });
}

function late(error: Error): Error {
  const isLate = error.name === 'AbortError' || error.name === 'TimeoutError';
  return isLate ? Object.assign(new Error('late'), { code: `no answer within ${answerLimitMs / 1000} s` }) : error;
}
