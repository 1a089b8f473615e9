import { existsSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { UserError } from '../command/user-error.ts';
import { leash } from '../leash/leash.ts';
import { htmlReport } from './report-html.ts';
import { junitReport } from './report-junit.ts';
import { markdownReport } from './report-markdown.ts';
import type { Score } from './score.ts';

/**
 * Says beforehand whether the results can go there.
 * @throws UserError when the folder is there and holds something
 */
export function checkOutFolder(folder: string): void {
  if (!existsSync(folder)) return;
  if (!statSync(folder).isDirectory()) throw new UserError(`${folder} is a file. Name a new folder with --out.`);
  if (readdirSync(folder).length > 0)
    throw new UserError(
      `${folder} is there and not empty; nothing in it is overwritten. Name a new folder with --out.`,
    );
}

/** Writes the four reports beside each other; all of them or none. Gives back the files. */
export async function writeReports(score: Score, folder: string): Promise<string[]> {
  const reports: Record<string, string> = {
    'score.html': await htmlReport(score),
    'score.md': markdownReport(score),
    'score.json': `${JSON.stringify(score, undefined, 2)}\n`,
    'junit.xml': junitReport(score),
  };
  const parent = dirname(folder);
  await mkdir(parent, { recursive: true });
  const aside = join(parent, `.${basename(folder)}-${process.pid}`);
  const release = leash({ folder: aside });
  await mkdir(aside);
  try {
    for (const [name, text] of Object.entries(reports)) await writeFile(join(aside, name), text);
    checkOutFolder(folder);
    if (existsSync(folder)) rmdirSync(folder);
    await rename(aside, folder);
  } finally {
    await rm(aside, { recursive: true, force: true });
    release();
  }
  return Object.keys(reports).map((name) => join(folder, name));
}
