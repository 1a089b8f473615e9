import { existsSync, rmdirSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { leash } from '../../foundations/processes/leash.ts';
import { checkOutFolder } from './out-folder.ts';
import { htmlReport } from './report-html.ts';
import { junitReport } from './report-junit.ts';
import { markdownReport } from './report-markdown.ts';
import type { Score } from './score.ts';

/** Writes the four reports beside each other; all of them or none. Gives back the files. */
export async function writeReports(score: Score, folder: string): Promise<string[]> {
  const reports: Record<string, string> = {
    'score.html': htmlReport(score),
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
