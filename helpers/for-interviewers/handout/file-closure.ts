import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { Visitor, parseSync } from 'oxc-parser';

/** Files that hold together, and the packages that they name. */
export interface FileClosure {
  /** Relative to the root, with forward slashes, in alphabetical order. */
  readonly files: readonly string[];
  /** Those of `packages` that a file imports or names, in alphabetical order. */
  readonly packages: readonly string[];
}

/**
 * Follows the files that a program is made of, from `entries` on. Whatever text in a file names another file below the
 * root counts: an import of any kind, also of a type, and what is loaded at run time, as `new URL('host.js', …)`.
 */
export async function fileClosure(
  root: string,
  entries: readonly string[],
  packages: readonly string[],
): Promise<FileClosure> {
  const files = new Set(entries);
  const used = new Set<string>();
  for (const file of files) {
    if (!/\.[cm]?[jt]s$/.test(file)) continue;
    for (const text of textsIn(file, await readFile(join(root, file), 'utf8'))) {
      const named = namedFile(root, file, text);
      if (named !== undefined) files.add(named);
      const owner = packages.find((name) => text === name || text.startsWith(`${name}/`));
      if (owner !== undefined) used.add(owner);
    }
  }
  return { files: [...files].sort(), packages: [...used].sort() };
}

/** All strings of a program, as imports and calls have them. */
function textsIn(file: string, source: string): string[] {
  const texts: string[] = [];
  new Visitor({
    Literal: ({ value }) => void (typeof value === 'string' && texts.push(value)),
    TemplateLiteral: ({ quasis }) => void (quasis.length === 1 && texts.push(quasis[0]?.value.cooked ?? '')),
  }).visit(parseSync(file, source).program);
  return texts;
}

/** The file below the root that a text in `file` names, seen from that file or, in a configuration, from the root. */
function namedFile(root: string, file: string, text: string): string | undefined {
  if (!/^[\w@./-]+\.\w+$/.test(text)) return undefined;
  const place = resolve(root, dirname(file), text);
  if (!place.startsWith(root + sep) || !existsSync(place) || !statSync(place).isFile()) return undefined;
  return relative(root, place).split(sep).join('/');
}
