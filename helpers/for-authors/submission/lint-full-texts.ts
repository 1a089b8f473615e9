import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { writeFullTexts } from '../../foundations/catalogue/submissions.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';

/**
 * Writes the full texts of these katas' patches, then lints them and checks their format: git ignores their folder, so the
 * linter and the formatter pass it over unless they are given each file.
 * @returns the exit code: 0 all in order, 1 a fault, which has been printed
 */
export function lintFullTexts(slugs: readonly string[]): number {
  let code = 0;
  for (const slug of slugs) {
    const files = writeFullTexts(slug);
    if (files.length === 0) continue;
    const passed =
      passes('oxlint', ['--deny-warnings', ...files]) && passes('oxfmt', ['--check', '--ignore-path=.npmrc', ...files]);
    if (!passed) code = 1;
  }
  return code;
}

/** Prints what the program says when it finds a fault, and nothing otherwise. */
function passes(program: string, args: readonly string[]): boolean {
  const file = join(repositoryRoot, 'node_modules', program, 'bin', program);
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [file, ...args], {
    cwd: repositoryRoot,
    encoding: 'utf8',
  });
  if (error) throw error;
  if (status !== 0) process.stdout.write(`${stdout}${stderr}`);
  return status === 0;
}
