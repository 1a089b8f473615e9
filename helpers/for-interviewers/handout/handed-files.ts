import { existsSync, readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { type Kata, readKata } from '../../foundations/catalogue/catalogue.ts';
import { fileClosure } from './file-closure.ts';

/** The parts of package.json that a hand-out looks at. */
export interface PackageFile {
  readonly version: string;
  readonly scripts: Readonly<Record<string, string>>;
  /** What a candidate's module may import. */
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** What goes into a hand-out as it is in the catalogue. */
export interface HandedFiles {
  readonly katas: readonly Kata[];
  /** Relative to the root, in alphabetical order. */
  readonly files: readonly string[];
  /** The catalogue's packages that these files need. */
  readonly packages: readonly string[];
  /** The names of the npm scripts whose programs are handed out. */
  readonly scripts: readonly string[];
}

/** Files at the top that a candidate's repository has too. */
const topFiles = [
  '.devcontainer/devcontainer.json',
  '.gitattributes',
  '.gitignore',
  '.npmrc',
  'CANDIDATE.md',
  'LICENSE',
  'vitest.config.ts',
];
/** Answers, what a hand-out has in sealed form only, and what is for the interviewer alone. */
const kept =
  /^solutions\/|^\.submissions\/|\.patch$|^tests\/tampering\/|\/submissions\/|\/kept-back\/|\bNOTES\.md$|^INTERVIEWER\.md$|^helpers\/for-(?:interviewers|authors)\//;

/** Whether a file of the catalogue must never reach a candidate. */
export function isKept(file: string): boolean {
  return kept.test(file);
}

/**
 * Which files of the catalogue in `root` a candidate of these katas needs, and no more.
 * @throws Error when a program of the candidate's would lead to a file that must not be handed out
 */
export async function handedFiles(root: string, slugs: readonly string[]): Promise<HandedFiles> {
  const katas = slugs.map((slug) => readKata(slug, root));
  const { scripts, dependencies, devDependencies } = readPackageFile(root);
  const offered = [
    'test',
    'watch',
    'doctor',
    'check',
    ...(katas.some(({ needs }) => needs.includes('mysql')) ? ['mysql'] : []),
    ...(slugs.some((slug) => existsSync(join(root, 'tests', slug, 'observe.ts'))) ? ['observe'] : []),
  ];
  const lines = offered.map((name) => scripts[name] ?? '');
  const own = await Promise.all(
    slugs.flatMap((slug) => [
      filesBelow(root, `katas/${slug}`),
      filesBelow(root, `tests/${slug}`).then((files) => files.filter((file) => !isKept(file))),
    ]),
  );
  const entries = [...topFiles, ...own.flat(), ...lines.flatMap(programsOf)];
  const { files, packages } = await fileClosure(root, entries, [
    ...Object.keys(dependencies),
    ...Object.keys(devDependencies),
  ]);

  const forbidden = files.find((file) => isKept(file) || isOfAnotherKata(file, slugs));
  if (forbidden !== undefined) throw new Error(`A file of the hand-out leads to ${forbidden}, which must stay here.`);
  return {
    katas,
    files,
    packages: [...new Set([...packages, '@types/node', 'typescript'])].sort(),
    scripts: offered,
  };
}

/** The launcher and the program that it starts, of an npm script's line. */
function programsOf(line: string): string[] {
  const [, launcher, command] = /^node (helpers\/\S+\/launch\.js) (\S+)/.exec(line) ?? [];
  if (launcher === undefined || command === undefined) return [];
  return [launcher, `${dirname(launcher)}/compile-cache.js`, `helpers/${command}/main.ts`];
}

/** Reads the package.json of a root. */
export function readPackageFile(root: string): PackageFile {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as PackageFile;
}

/** All files below a folder, relative to the root, with forward slashes, in alphabetical order. */
export async function filesBelow(root: string, folder = ''): Promise<string[]> {
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll(sep, '/'))
    .sort();
}

function isOfAnotherKata(file: string, slugs: readonly string[]): boolean {
  const [, slug] = /^(?:katas|tests)\/([^/]+)\//.exec(file) ?? [];
  return slug !== undefined && !slugs.includes(slug);
}
