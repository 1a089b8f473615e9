import { readFile } from 'node:fs/promises';
import { type RequestOptions, get } from 'node:http';
import { connect } from 'node:net';
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';

const answerLimitMs = 1_500;

/** What an engine says of itself, or why none answers. */
export type EngineAnswer =
  | { readonly version: string; readonly hasImage: (image: string) => Promise<boolean> }
  | { readonly why: string; readonly remedy: string };

/**
 * Asks the Docker engine for its version, within 2 s, at the address where Testcontainers would look for it. It speaks
 * HTTP itself, because Testcontainers takes half a second to load and waits without limit for an address that is dead.
 */
export async function askEngine(env: NodeJS.ProcessEnv = process.env): Promise<EngineAnswer> {
  const told = env['DOCKER_HOST'] || (await toldByProperties());
  const addresses = told ? [told] : usualAddresses(env);
  const tries = await Promise.all(addresses.map((address) => tryAddress(address, env)));
  const answer = tries.find((one) => 'version' in one);
  if (answer) return answer;

  const denied = tries.find((one) => 'code' in one && (one.code === 'EACCES' || one.code === 'EPERM'));
  if (denied) {
    return {
      why: `a Docker engine is at ${denied.address}, but this account may not talk to it`,
      remedy: 'Add the account to the group docker and log in again.',
    };
  }
  const named = tries.find((one) => 'code' in one && one.code !== 'ENOENT') ?? (told ? tries[0] : undefined);
  const where = named && 'code' in named ? ` at ${named.address} (${named.code})` : '';
  return {
    why: `no Docker engine answers${where}`,
    remedy: told
      ? 'Start it, or correct DOCKER_HOST.'
      : 'Start Docker, or set DOCKER_HOST to where its engine listens.',
  };
}

type Try = Extract<EngineAnswer, { version: string }> & { readonly address: string };
type Failure = { readonly address: string; readonly code: string };

async function tryAddress(address: string, env: NodeJS.ProcessEnv): Promise<Try | Failure> {
  // An address may hold an account; it is not repeated.
  const shown = address.replace(/\/\/[^/@]*@/, '//');
  try {
    const target = targetOf(address);
    if (env['DOCKER_TLS_VERIFY'] || address.startsWith('https:')) {
      await reach(target);
      return { address: shown, version: 'behind TLS', hasImage: () => Promise.resolve(false) };
    }
    const { body } = await ask(target, '/version');
    const version = (JSON.parse(body) as { Version?: string }).Version ?? 'of unknown version';
    const hasImage = async (image: string): Promise<boolean> =>
      ask(target, `/images/${encodeURIComponent(image)}/json`).then(
        ({ status }) => status === 200,
        () => false,
      );
    return { address: shown, version, hasImage };
  } catch (error) {
    const { code, name } = error as NodeJS.ErrnoException;
    return { address: shown, code: code ?? (name === 'SyntaxError' ? 'what answers is no Docker engine' : name) };
  }
}

function targetOf(address: string): RequestOptions {
  const { protocol, hostname, port, pathname } = new URL(address);
  if (protocol === 'unix:' || protocol === 'npipe:') return { socketPath: decodeURIComponent(pathname) };
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port || 2375) };
}

function usualAddresses(env: NodeJS.ProcessEnv): readonly string[] {
  if (process.platform === 'win32') return ['npipe:////./pipe/docker_engine'];
  const sockets = [
    '/var/run/docker.sock',
    ...['run', 'desktop'].map((sub) => join(homedir(), '.docker', sub, 'docker.sock')),
  ];
  if (env['XDG_RUNTIME_DIR']) sockets.push(join(env['XDG_RUNTIME_DIR'], 'docker.sock'));
  sockets.push(`/run/user/${userInfo().uid}/docker.sock`);
  return sockets.map((path) => `unix://${path}`);
}

async function toldByProperties(): Promise<string | undefined> {
  const text = await readFile(join(homedir(), '.testcontainers.properties'), 'utf8').catch(() => '');
  return /^\s*(?:tc|docker)\.host\s*[=:]\s*(\S+)/m.exec(text)?.[1]?.replaceAll('\\:', ':');
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
