import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Kata } from '../../foundations/catalogue/catalogue.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import type { PromiseVerdict } from '../../judging/verdict/verdict.ts';
import type { Submission } from '../../foundations/catalogue/submissions.ts';

const leastAccepted = 3;
const leastRejected = 6;
/** A candidate reads all of it. */
const mostWords = 250;

/** What is wrong with a kata's files before any of them is run; one sentence a fault. */
export function faultsOfKata({ slug, promises }: Kata, submissions: readonly Submission[]): string[] {
  const faults: string[] = [];
  for (const file of [
    `solutions/${slug}/NOTES.md`,
    `solutions/${slug}/${slug}.ts`,
    `katas/${slug}/${slug}.ts`,
    `tests/${slug}/${slug}.test.ts`,
  ]) {
    if (!existsSync(join(repositoryRoot, file))) faults.push(`${file} is missing.`);
  }
  const words = wordsAfterPromises(readFileSync(join(repositoryRoot, 'katas', slug, 'README.md'), 'utf8'));
  if (words > mostWords)
    faults.push(
      `katas/${slug}/README.md has ${words} words between the promises and "Run it"; at most ${mostWords} are read.`,
    );
  const count = (kind: string) => submissions.filter(({ name }) => name.startsWith(`${kind}/`)).length;
  if (count('accepted') < leastAccepted)
    faults.push(`${slug} has ${count('accepted')} accepted submissions; it needs ${leastAccepted}.`);
  if (count('rejected') < leastRejected)
    faults.push(`${slug} has ${count('rejected')} rejected submissions; it needs ${leastRejected}.`);
  for (const { number, text } of promises) {
    const broken = submissions.some(({ name, breaks }) => name.startsWith('rejected/') && breaks.includes(number));
    if (!broken)
      faults.push(
        `No rejected submission of ${slug} breaks promise ${number}, "${text}" Nobody has seen its test fail.`,
      );
  }
  return faults;
}

/** Without headings and examples of code. */
function wordsAfterPromises(readme: string): number {
  const [, text = ''] = /^## What the judge does$(.*?)(?:^## Run it$|$(?![^]))/ms.exec(readme) ?? [];
  const prose = text.replace(/^```.*?^```$/gms, '').replace(/^#.*$/gm, '');
  return prose.split(/[\s|]+/).filter((word) => /\w/.test(word)).length;
}

/** Where the judge's tests and the README's promises are not the same, word for word and tier by tier. */
export function faultsOfWording({ slug, promises }: Kata, tests: readonly PromiseVerdict[]): string[] {
  const faults: string[] = [];
  for (let index = 0; index < Math.max(promises.length, tests.length); index++) {
    const [promise, test] = [promises[index], tests[index]];
    if (promise?.text === test?.text && promise?.tier === test?.tier) continue;
    const says = (one: { tier: string; text: string } | undefined) => (one ? `${one.tier}: "${one.text}"` : 'nothing');
    faults.push(`Promise ${index + 1} of ${slug}: the README says ${says(promise)}, the judge ${says(test)}.`);
  }
  return faults;
}
