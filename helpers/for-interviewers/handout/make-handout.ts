import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, lstat, mkdir, readFile, readdir, rename, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { chooseKatas } from '../../foundations/catalogue/catalogue.ts';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { git, headCommit } from '../../foundations/git/git.ts';
import { leashedFolder } from '../../foundations/processes/leashed-folder.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { keptBack, sealFolder, sealedFile } from '../../instruments/sealed-folder/sealed-folder.ts';
import { checkOutCatalogue } from './check-out-catalogue.ts';
import { type HandedFiles, filesBelow, handedFiles, readPackageFile } from './handed-files.ts';
import { writePackageFiles } from './package-files.ts';
import { readmeText } from './readme-text.ts';

export interface HandoutOptions {
  readonly katas: readonly string[];
  /** The folder to make: not there yet, or empty. */
  readonly out: string;
  /** To whom it goes, as its README says it. */
  readonly candidate?: string | undefined;
  /** The clone that it is made from. */
  readonly root?: string;
}

/** What a hand-out is made of; `handout.json` in it. */
export interface Manifest {
  readonly catalogue: { readonly version: string; readonly commit: string };
  readonly candidate: string | null;
  readonly katas: readonly string[];
  /** SHA-256 of each file but this one, in hexadecimal. */
  readonly sha256: Readonly<Record<string, string>>;
}

const author = { name: 'Backend katas', email: 'backend-katas@example.invalid' };
const templates = join(import.meta.dirname, 'template');

/**
 * Makes a repository of its own for one candidate, from what is committed in the clone: the katas, their judges, what
 * these need, and no answer. It is made aside and moved into its place at the end.
 * @throws UserError when `out` is in use, a kata is unknown, or the clone has no commit
 */
export async function makeHandout(options: HandoutOptions): Promise<Manifest> {
  const { root = repositoryRoot, candidate } = options;
  const out = resolve(options.out);
  await refuseUsed(out);
  const commit = await headCommit(root);

  await using temporary = await leashedFolder(tmpdir(), 'kata-handout-');
  const catalogue = join(temporary.path, 'catalogue');
  await checkOutCatalogue(root, commit, catalogue);
  const slugs = chooseKatas(options.katas, catalogue);
  const handed = await handedFiles(catalogue, slugs);

  // On the disk of its later place, so that one rename puts it there.
  await using aside = await leashedFolder(nearestFolder(dirname(out)), `.${basename(out)}-`);
  const folder = join(aside.path, 'handout');
  await writeFiles(catalogue, folder, handed, candidate);
  await writePackageFiles(catalogue, folder, handed, temporary.path);
  const manifest: Manifest = {
    catalogue: { version: readPackageFile(catalogue).version, commit },
    candidate: candidate ?? null,
    katas: slugs,
    sha256: await hashesOf(folder),
  };
  await writeFile(join(folder, 'handout.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
  await commitAll(folder);

  await mkdir(dirname(out), { recursive: true });
  if (existsSync(out)) await rmdir(out);
  await rename(folder, out);
  return manifest;
}

async function refuseUsed(out: string): Promise<void> {
  const found = await lstat(out).catch(() => undefined);
  if (found === undefined) return;
  const isEmpty = found.isDirectory() && (await readdir(out)).length === 0;
  if (!isEmpty)
    throw new UserError(
      `${out} is there and is not an empty folder: name a new one with --out, or clear this one first.`,
    );
}

async function writeFiles(
  catalogue: string,
  folder: string,
  { katas, files, scripts }: HandedFiles,
  candidate: string | undefined,
): Promise<void> {
  await cp(templates, folder, { recursive: true });
  for (const file of files) await cp(join(catalogue, file), join(folder, file));
  for (const { slug } of katas) {
    const kept = join('tests', slug, keptBack);
    if (existsSync(join(catalogue, kept)))
      await writeFile(join(folder, sealedFile(kept)), await sealFolder(join(catalogue, kept)));
  }
  const guide = join(folder, 'CANDIDATE.md');
  await writeFile(guide, withoutOtherCommands(await readFile(guide, 'utf8'), scripts));
  await writeFile(join(folder, 'README.md'), readmeText(katas, candidate));
  const settings = JSON.parse(await readFile(join(catalogue, 'tsconfig.json'), 'utf8')) as { include: string[] };
  settings.include = settings.include.filter((name) => existsSync(join(folder, name)));
  await writeFile(join(folder, 'tsconfig.json'), `${JSON.stringify(settings, undefined, 2)}\n`);
}

/** Leaves out each line about an npm script that this hand-out lacks. */
function withoutOtherCommands(text: string, scripts: readonly string[]): string {
  const isKnown = (line: string) =>
    [...line.matchAll(/npm run ([\w:-]+)/g)].every(([, name = '']) => scripts.includes(name));
  return text.split('\n').filter(isKnown).join('\n');
}

async function hashesOf(folder: string): Promise<Record<string, string>> {
  const files = await filesBelow(folder);
  const hashes = files.map(async (file) => {
    const content = await readFile(join(folder, file));
    return [file, createHash('sha256').update(content).digest('hex')] as const;
  });
  return Object.fromEntries(await Promise.all(hashes));
}

async function commitAll(folder: string): Promise<void> {
  const date = `${Math.floor(Date.now() / 1000)} +0000`;
  const env = Object.fromEntries(
    ['AUTHOR', 'COMMITTER'].flatMap((role) => [
      [`GIT_${role}_NAME`, author.name],
      [`GIT_${role}_EMAIL`, author.email],
      [`GIT_${role}_DATE`, date],
    ]),
  );
  await git(folder, ['init', '--quiet']);
  await git(folder, ['add', '--all', '--force']);
  await git(folder, ['commit', '--quiet', '--message=Your katas'], { env });
}

function nearestFolder(path: string): string {
  return existsSync(path) ? path : nearestFolder(dirname(path));
}
