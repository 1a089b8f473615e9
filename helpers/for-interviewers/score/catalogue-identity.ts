import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import type { Score } from './score.ts';

/** Which catalogue judges here: its version, its commit where it is a repository, and a hash of all that can change a verdict. */
export function catalogueIdentity(): Score['catalogue'] {
  const { version } = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8')) as { version: string };
  return { version, commit: commitOf(repositoryRoot) ?? null, hash: hashOf(repositoryRoot) };
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

function commitOf(root: string): string | undefined {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'ignore'],
      encoding: 'utf8',
    }).trim();
  } catch {
    return undefined;
  }
}
