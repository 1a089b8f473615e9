import { existsSync, statSync } from 'node:fs';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { settings } from '../settings.ts';

/** The folder that holds katas/, solutions/, tests/ and helpers/. */
export const repositoryRoot = fileURLToPath(new URL('../../../', import.meta.url)).replace(/[\\/]$/, '');

/**
 * Where the full texts of a kata's patches are written, relative to the repository. It is as deep as the folder of the
 * patches, so that relative imports lead to the same files.
 */
export function fullTextsFolder(slug: string): string {
  return `.submissions/${slug}/submissions`;
}

/**
 * The one place that decides which file is judged. `KATA_TARGET` is `katas` (default), `solutions`, or the path of one
 * submission file. For a submission that is stored as a patch, its full text is judged as `npm run check` wrote it.
 * @returns the absolute path of the module for this kata
 * @throws Error when there is no such file
 */
export function targetFile(slug: string, target = settings().target): string {
  const file =
    target === 'katas' || target === 'solutions'
      ? join(repositoryRoot, target, slug, `${slug}.ts`)
      : isAbsolute(target)
        ? target
        : fullText(target);
  if (!existsSync(file) || !statSync(file).isFile()) {
    throw new Error(
      `There is no ${shortPath(file)} to judge. Put the module there, or set KATA_TARGET to katas, solutions or a file.`,
    );
  }
  return file;
}

/** A submission by its path, with .ts or .patch at the end. */
function fullText(target: string): string {
  const stored = resolve(repositoryRoot, target);
  const [, slug, name] = /^tests\/([^/]+)\/submissions\/(rejected\/.+)\.(?:ts|patch)$/.exec(target) ?? [];
  const isWhole = target.endsWith('.ts') && existsSync(stored);
  return slug === undefined || isWhole ? stored : join(repositoryRoot, fullTextsFolder(slug), `${name}.ts`);
}

/** A path as a reader wants it: relative to the repository, with forward slashes. */
export function shortPath(file: string): string {
  return relative(repositoryRoot, file).split(sep).join('/');
}

/**
 * The name under which a kata's file is loaded, as its imports resolve and as stack traces tell it. A file that lies
 * outside the repository, such as a candidate's that is scored, takes the place of `katas/<slug>/<slug>.ts`: the
 * packages are found from there, and a reader knows the path.
 */
export function moduleName(slug: string, file: string): string {
  const inside = file.startsWith(repositoryRoot + sep);
  return inside ? file : join(repositoryRoot, 'katas', slug, `${slug}.ts`);
}
