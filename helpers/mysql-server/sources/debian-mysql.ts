import type { MysqlSource } from '../source.ts';
import { type DebianRecipe, probeDebianPackages, startFromDebianPackages } from './debian-packages.ts';

const recipe: DebianRecipe = {
  source: 'debian-mysql',
  title: 'MySQL',
  // The only suite of Debian that holds MySQL; its own loader and libraries come with it, so any Debian runs it.
  suite: 'sid',
  serverPackage: 'mysql-server-core',
  binaries: ['usr/sbin/mysqld'],
  shares: ['usr/share/mysql'],
};

/** Real MySQL from Debian's packages, unpacked into the cache without root. */
export function debianMysqlSource(env: NodeJS.ProcessEnv = process.env): MysqlSource {
  return {
    name: recipe.source,
    probe: () => probeDebianPackages(recipe, env),
    start: (onProgress) => startFromDebianPackages(recipe, onProgress, env),
  };
}
