import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { devNull } from 'node:os';
import { basename, join } from 'node:path';
import { runToEnd } from '../../foundations/processes/run-to-end.ts';
import { type HandedFiles, readPackageFile } from './handed-files.ts';

/**
 * Writes package.json and package-lock.json: the catalogue's own, cut down to what the handed files need. The versions
 * are those of the catalogue's lock file, and no registry is asked.
 */
export async function writePackageFiles(
  catalogue: string,
  folder: string,
  { packages, scripts }: HandedFiles,
  temporary: string,
): Promise<void> {
  const whole = readPackageFile(catalogue);
  const { allowScripts, puppeteer, ...rest } = whole as typeof whole & {
    allowScripts: Readonly<Record<string, boolean>>;
    puppeteer: unknown;
  };
  const cut = {
    ...rest,
    name: 'backend-katas-handout',
    // The catalogue's own check also looks at lint, format and unused code.
    scripts: { ...pick(whole.scripts, (name) => scripts.includes(name)), check: whole.scripts['check:types'] },
    dependencies: pick(whole.dependencies, (name) => packages.includes(name)),
    devDependencies: pick(whole.devDependencies, (name) => packages.includes(name)),
  };
  await writeJson(join(folder, 'package.json'), cut);
  await copyFile(join(catalogue, 'package-lock.json'), join(folder, 'package-lock.json'));
  await cutLockFile(folder, temporary);

  const locked = JSON.parse(await readFile(join(folder, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, unknown>;
  };
  const isLocked = (name: string) => Object.keys(locked.packages).some((path) => path.endsWith(`node_modules/${name}`));
  await writeJson(join(folder, 'package.json'), {
    ...cut,
    allowScripts: pick(allowScripts, isLocked),
    ...(isLocked('puppeteer') && { puppeteer }),
  });
}

/** Lets npm take out of a lock file what package.json no longer asks for; its cache is empty, so it has nothing to ask. */
async function cutLockFile(folder: string, temporary: string): Promise<void> {
  const own = process.env.npm_execpath;
  const [file, first] =
    own !== undefined && basename(own).startsWith('npm')
      ? [process.execPath, [own]]
      : [process.platform === 'win32' ? 'npm.cmd' : 'npm', []];
  const options = [
    '--package-lock-only',
    '--offline',
    '--ignore-scripts',
    `--cache=${join(temporary, 'npm')}`,
    `--userconfig=${devNull}`,
    '--no-update-notifier',
  ];
  const settings = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name));
  const { code, stderr } = await runToEnd(file, [...first, 'install', ...options], {
    cwd: folder,
    // npm would leave a cache of its own code in the temporary folder.
    env: { ...Object.fromEntries(settings), NODE_DISABLE_COMPILE_CACHE: '1' },
    shell: file === 'npm.cmd',
  });
  if (code !== 0) throw new Error(`npm could not cut the lock file down: ${stderr.trim()}`);
}

function pick<Value>(from: Readonly<Record<string, Value>>, wanted: (name: string) => boolean): Record<string, Value> {
  return Object.fromEntries(Object.entries(from).filter(([name]) => wanted(name)));
}

async function writeJson(file: string, value: unknown): Promise<void> {
  await writeFile(file, `${JSON.stringify(value, undefined, 2)}\n`);
}
