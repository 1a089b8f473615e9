import { existsSync } from 'node:fs';
import { realpath, statfs } from 'node:fs/promises';
import { availableParallelism, freemem } from 'node:os';
import { dirname, join, sep } from 'node:path';
import { kataSlugs, readKata } from '../../foundations/catalogue/catalogue.ts';
import { readSettings } from '../../foundations/settings.ts';
import { cacheFolder, cacheSizeBytes } from '../../mysql-server/cache-folder.ts';
import { MysqlUnavailable, type Probe, type SourceName } from '../../mysql-server/source.ts';
import { chooseSource, probeAll } from '../../mysql-server/start-server.ts';
import { placesAmiss } from '../../foundations/places.ts';
import { shortages } from '../../foundations/shortages.ts';
import { repositoryRoot, shortPath } from '../../foundations/catalogue/target.ts';

/** What this machine has for the katas. Plain data, and what `--json` prints. */
export interface Report {
  readonly node: NodeReport;
  readonly mysql: MysqlReport;
  readonly cache: { readonly folder: string; readonly sizeBytes: number; readonly diskFreeBytes: number };
  /** A sentence for each folder that a run writes to and cannot. */
  readonly places: readonly string[];
  /** A sentence for each thing that the machine has too little of. */
  readonly shortages: readonly string[];
  readonly machine: { readonly cores: number; readonly memoryFreeBytes: number };
  readonly katas: readonly KataReport[];
}

interface NodeReport {
  readonly version: string;
  /** Relative to the repository when it lies in it. */
  readonly file: string;
  /** Whether it is the one that npm put into node_modules. */
  readonly isOurs: boolean;
  /** Whether it can judge. */
  readonly isSupported: boolean;
  /** Whether it is one of those that the katas are tested on. */
  readonly isTested: boolean;
}

interface MysqlReport {
  /** The source that a run takes; null when there is none. */
  readonly serves: SourceName | null;
  /** The setting that decided, when one did. */
  readonly setting: 'KATA_MYSQL' | 'MYSQL_URL' | null;
  /** Why none serves. */
  readonly problem: string | null;
  readonly sources: readonly { readonly name: SourceName; readonly probe: Probe }[];
}

interface KataReport {
  readonly slug: string;
  readonly canRun: boolean;
  /** One sentence for each thing in its way. */
  readonly why: readonly string[];
}

/** The major versions of Node that the katas are tested on. Older ones cannot judge; others that are newer may. */
export const testedNodes: readonly number[] = [24, 26];
const oldestNode = 24;

/** Tries what a run needs: folders, and a server by MYSQL_URL. Starts nothing and downloads nothing. */
export async function inspectMachine(env: NodeJS.ProcessEnv = process.env): Promise<Report> {
  const folder = cacheFolder(env);
  const [node, mysql, sizeBytes, diskFreeBytes, places, lacking] = await Promise.all([
    inspectNode(),
    inspectMysql(env),
    cacheSizeBytes(env),
    freeBytesAt(folder),
    placesAmiss(),
    shortages(),
  ]);
  return {
    node,
    mysql,
    cache: { folder, sizeBytes, diskFreeBytes },
    places,
    shortages: lacking,
    machine: { cores: availableParallelism(), memoryFreeBytes: process.availableMemory?.() ?? freemem() },
    katas: kataSlugs().map((slug) =>
      inspectKata(slug, node, mysql, [
        ...(places.length > 0 ? ['A run cannot write where it must.'] : []),
        ...(lacking.length > 0 ? ['The machine lacks something that a judge needs.'] : []),
      ]),
    ),
  };
}

async function inspectNode(): Promise<NodeReport> {
  const file = await realpath(process.execPath);
  const isOurs = file.startsWith((await realpath(join(repositoryRoot, 'node_modules'))) + sep);
  const major = Number.parseInt(process.versions.node, 10);
  return {
    version: process.versions.node,
    file: file.startsWith(repositoryRoot + sep) ? shortPath(file) : file,
    isOurs,
    isSupported: major >= oldestNode,
    isTested: testedNodes.includes(major),
  };
}

async function inspectMysql(env: NodeJS.ProcessEnv): Promise<MysqlReport> {
  const [sources, choice] = await Promise.all([
    probeAll(env),
    chooseSource(env, (line) => process.stderr.write(`${line}\n`)).catch((error: unknown) => {
      if (error instanceof MysqlUnavailable) return error;
      throw error;
    }),
  ]);
  const setting = readSettings(env).mysql ? 'KATA_MYSQL' : env['MYSQL_URL'] ? 'MYSQL_URL' : null;
  return choice instanceof Error
    ? { serves: null, setting, problem: choice.message, sources }
    : { serves: choice.name, setting, problem: null, sources };
}

function inspectKata(slug: string, node: NodeReport, mysql: MysqlReport, general: readonly string[]): KataReport {
  const why: string[] = [...general];
  try {
    const { needs } = readKata(slug);
    if (needs.includes('mysql') && mysql.serves === null) why.push('It needs MySQL, and none serves here.');
    const files = [
      `katas/${slug}/${slug}.ts`,
      `tests/${slug}/${slug}.test.ts`,
      ...(needs.includes('mysql') ? [`katas/${slug}/schema.sql`] : []),
    ];
    for (const file of files) if (!existsSync(join(repositoryRoot, file))) why.push(`${file} is missing.`);
  } catch (error) {
    // One broken kata must not hide what there is to say of the others.
    why.push((error as Error).message);
  }
  if (!node.isSupported) why.push(`It needs Node ${oldestNode} or newer.`);
  return { slug, canRun: why.length === 0, why };
}

/** Free bytes on the disk that will hold `folder`, which need not be there yet. */
async function freeBytesAt(folder: string): Promise<number> {
  let place = folder;
  while (!existsSync(place) && dirname(place) !== place) place = dirname(place);
  const { bavail, bsize } = await statfs(place);
  return bavail * bsize;
}
