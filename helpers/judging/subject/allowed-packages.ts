import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';

/** The packages that a kata's module may import, beside Node's own modules; package.json has them as `dependencies`. */
export const allowedPackages = ['mysql2', 'socket.io', 'undici'] as const;

let folders: readonly string[] | undefined;

/** The folders of these packages and of all that they depend on. A module reads no other: somebody else's answer may be among them. */
export function packageFolders(): readonly string[] {
  if (folders) return folders;
  const found = new Set<string>();
  const waiting: { name: string; from: string }[] = allowedPackages.map((name) => ({ name, from: repositoryRoot }));
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const folder = folderOf(next.name, next.from);
    if (folder === undefined || found.has(folder)) continue;
    found.add(folder);
    const { dependencies, optionalDependencies, peerDependencies } = JSON.parse(
      readFileSync(join(folder, 'package.json'), 'utf8'),
    ) as Record<string, Record<string, string> | undefined>;
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies }))
      waiting.push({ name, from: folder });
  }
  // Both names of each, should the packages' folder be a link.
  return (folders = [...new Set([...found].flatMap((folder) => [folder, realpathSync(folder)]))]);
}

/** Where Node finds a package that is imported from a folder. */
function folderOf(name: string, from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name);
    if (existsSync(join(candidate, 'package.json'))) return candidate;
    if (folder === repositoryRoot || folder === dirname(folder)) return undefined;
  }
}
