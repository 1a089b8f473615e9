import { createHash } from 'node:crypto';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder } from '../../mysql-server/cache-folder.ts';
import { settings } from '../../foundations/settings.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';

/** What is remembered of a kata whose submissions were all judged as they claim. */
export interface Passed {
  readonly submissions: number;
  readonly at: string;
}

/**
 * A key that changes with anything that could change a verdict: the kata's files, all helpers but their tests, the
 * locked packages, the Node in use, where MySQL comes from, and what examples are drawn with.
 * What was judged, and how strictly, is part of it.
 */
export function contentKey(slug: string, mysql: string, all: boolean, strictMargins: boolean): string {
  const hash = createHash('sha256').update(
    JSON.stringify([
      process.version,
      process.platform,
      mysql,
      all,
      strictMargins,
      process.env.MYSQL_IMAGE,
      process.env.MYSQL_URL,
      settings().sandbox,
      settings().seed,
    ]),
  );
  const patterns = [
    `katas/${slug}/**`,
    `solutions/${slug}/**`,
    `tests/${slug}/**`,
    'helpers/**/*.{ts,js}',
    'package-lock.json',
    'vitest.config.ts',
  ];
  const files = globSync(patterns, { cwd: repositoryRoot, withFileTypes: true }).filter(
    (entry) => entry.isFile() && !(entry.parentPath.includes('helpers') && entry.name.endsWith('.test.ts')),
  );
  for (const file of files.map((entry) => join(entry.parentPath, entry.name)).sort())
    hash.update(file).update(readFileSync(file));
  return hash.digest('hex').slice(0, 32);
}

/** What is remembered under this key, if anything is. */
export async function recallPassed(key: string): Promise<Passed | undefined> {
  const file = fileOf(key);
  return existsSync(file) ? (JSON.parse(await readFile(file, 'utf8')) as Passed) : undefined;
}

/** Remembers that all went as claimed. */
export async function rememberPassed(key: string, passed: Passed): Promise<void> {
  await mkdir(join(cacheFolder(), 'verify'), { recursive: true });
  const aside = `${fileOf(key)}.${process.pid}`;
  await writeFile(aside, JSON.stringify(passed));
  await rename(aside, fileOf(key));
}

function fileOf(key: string): string {
  return join(cacheFolder(), 'verify', `${key}.json`);
}
