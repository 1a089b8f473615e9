import type { MysqlSource } from '../source.ts';
import { type DebianRecipe, probeDebianPackages, startFromDebianPackages } from './debian-packages.ts';

const recipe: DebianRecipe = {
  source: 'debian-mariadb',
  title: 'MariaDB',
  serverPackage: 'mariadb-server-core',
  binaries: ['usr/sbin/mariadbd', 'usr/sbin/mysqld'],
  shares: ['usr/share/mariadb', 'usr/share/mysql'],
};

/** MariaDB from the packages of the machine's own suite, unpacked into the cache without root. */
export function debianMariadbSource(env: NodeJS.ProcessEnv = process.env): MysqlSource {
  return {
    name: recipe.source,
    probe: () => probeDebianPackages(recipe, env),
    start: (onProgress) => startFromDebianPackages(recipe, onProgress, env),
  };
}
