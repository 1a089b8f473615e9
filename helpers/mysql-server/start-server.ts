import { readSettings } from '../foundations/settings.ts';
import { addHashFunctions } from './hash-functions.ts';
import {
  type MysqlServer,
  type MysqlSource,
  MysqlUnavailable,
  type Probe,
  type SourceName,
  sourceNames,
} from './source.ts';
import { debianMariadbSource } from './sources/debian-mariadb.ts';
import { debianMysqlSource } from './sources/debian-mysql.ts';
import { dockerSource } from './sources/docker.ts';
import { localSource } from './sources/local.ts';
import { urlSource } from './sources/url.ts';

const factories = {
  url: urlSource,
  docker: dockerSource,
  local: localSource,
  'debian-mysql': debianMysqlSource,
  'debian-mariadb': debianMariadbSource,
} satisfies Record<SourceName, (env: NodeJS.ProcessEnv) => MysqlSource>;

/** A source with what it said when it was asked. */
export interface ProbedSource {
  readonly name: SourceName;
  readonly probe: Probe;
}

/** Asks every source, in order, whether it would serve here; starts nothing. */
export async function probeAll(env: NodeJS.ProcessEnv = process.env): Promise<readonly ProbedSource[]> {
  return Promise.all(sourceNames.map(async (name) => ({ name, probe: await factories[name](env).probe() })));
}

/**
 * The first source that would serve here, among those that `KATA_MYSQL` and `MYSQL_URL` leave.
 * @throws MysqlUnavailable when none would, or when `KATA_MYSQL` is not one of its words
 */
export async function chooseSource(
  env: NodeJS.ProcessEnv = process.env,
  onProgress?: (line: string) => void,
): Promise<MysqlSource> {
  const choice = choose(env);
  const refusals: string[] = [];
  for (const name of choice.names) {
    const source = factories[name](env);
    const probe = await source.probe(onProgress);
    if (probe.serves) return source;
    refusals.push(refusalOf(name, probe));
  }
  throw none(choice, refusals);
}

/**
 * Gets a MySQL server from the first source that serves. One that says it would and then fails is passed over for the
 * next, unless `KATA_MYSQL` or `MYSQL_URL` chose it.
 * @throws MysqlUnavailable when there is none, with what each source said and what to install
 */
export async function startServer(
  options: { readonly env?: NodeJS.ProcessEnv; readonly onProgress?: (line: string) => void } = {},
): Promise<MysqlServer> {
  const { env = process.env, onProgress = () => undefined } = options;
  const choice = choose(env);
  const refusals: string[] = [];
  for (const name of choice.names) {
    const source = factories[name](env);
    const probe = await source.probe(onProgress);
    if (!probe.serves) {
      refusals.push(refusalOf(name, probe));
      continue;
    }
    try {
      const server = await source.start(onProgress);
      // A server by URL is somebody's, and stays as it is.
      if (name !== 'url') await addHashFunctions(server);
      return server;
    } catch (error) {
      if (!(error instanceof MysqlUnavailable)) throw error;
      refusals.push(`${name}: ${error.message}`);
      if (choice.names.at(-1) !== name) onProgress(`${name} did not serve: ${error.message}`);
    }
  }
  throw none(choice, refusals);
}

interface Choice {
  readonly names: readonly SourceName[];
  /** The setting that made it, as in `KATA_MYSQL=docker`; undefined when nobody chose. */
  readonly by: string | undefined;
}

function choose(env: NodeJS.ProcessEnv): Choice {
  const word = readSettings(env).mysql;
  if (!word) return env['MYSQL_URL'] ? { names: ['url'], by: 'MYSQL_URL' } : { names: sourceNames, by: undefined };
  const by = `KATA_MYSQL=${word}`;
  if (word === 'packages') return { names: ['debian-mysql', 'debian-mariadb'], by };
  const name = sourceNames.find((known) => known === word);
  if (!name) {
    throw new MysqlUnavailable(
      `KATA_MYSQL is "${word}": set it to ${sourceNames.join(', ')} or packages, or leave it out.`,
    );
  }
  return { names: [name], by };
}

function refusalOf(name: SourceName, probe: Probe & { readonly serves: false }): string {
  return `${name}: ${probe.why}. ${probe.remedy}`;
}

function none({ by, names }: Choice, refusals: readonly string[]): MysqlUnavailable {
  if (by !== undefined && names.length === 1) {
    const why = refusals[0]?.slice(`${names[0]}: `.length) ?? '';
    return new MysqlUnavailable(
      by === 'MYSQL_URL' || names[0] === 'url' ? why : `${by} does not serve. ${capital(why)}`,
    );
  }
  const list = refusals.map((refusal) => `  - ${refusal}`).join('\n');
  return new MysqlUnavailable(
    `${by ? `${by} does not serve` : 'No MySQL server can be had here'}. What was tried:\n${list}\n` +
      'The simplest remedy: start Docker, or install MySQL 8.4 or newer, or set MYSQL_URL.',
  );
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
