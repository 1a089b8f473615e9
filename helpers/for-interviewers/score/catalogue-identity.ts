import { createHash } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { git } from '../../foundations/git/git.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import type { Score } from './score.ts';

/** Which catalogue judges here: its version, its commit where it is a repository, and a hash of all that can change a verdict. */
export async function catalogueIdentity(): Promise<Score['catalogue']> {
  const { version } = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8')) as { version: string };
  return { version, commit: await commitOf(repositoryRoot), hash: hashOf(repositoryRoot) };
}

function hashOf(root: string): string {
  const hash = createHash('sha256');
  // Not katas/<slug>/<slug>.ts: an interviewer may have tried something there, and it judges nobody.
  const files = globSync(
    ['katas/*/*.{md,sql}', 'solutions/*/*.ts', 'tests/**/*.ts', 'helpers/**/*.{ts,js}', 'package-lock.json'],
    { cwd: root },
  );
  for (const file of files.map((name) => name.replaceAll('\\', '/')).sort())
    hash.update(`${file}\n`).update(readFileSync(join(root, file)));
  return hash.digest('hex');
}

async function commitOf(root: string): Promise<string | null> {
  return await git(root, ['rev-parse', 'HEAD']).then(
    (commit) => commit.trim(),
    () => null,
  );
}
