import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readKata } from '../../foundations/catalogue/catalogue.ts';
import { submissionsOf } from '../../foundations/catalogue/submissions.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { todo } from './template.ts';

const leastAccepted = 3;

/** What a kata still lacks before `npm run verify` can judge it, one line each. */
export function missingIn(slug: string, root = repositoryRoot): string[] {
  const files = [
    `katas/${slug}/README.md`,
    `katas/${slug}/${slug}.ts`,
    `solutions/${slug}/${slug}.ts`,
    `solutions/${slug}/NOTES.md`,
    `tests/${slug}/${slug}.test.ts`,
  ];
  const absent = files.filter((file) => !existsSync(join(root, file)));
  if (absent.length > 0) return absent;
  const unwritten = files.flatMap((file) =>
    readFileSync(join(root, file), 'utf8')
      .split('\n')
      .flatMap((line, index) => (line.includes(todo) ? [`${file}:${index + 1} says ${todo}`] : [])),
  );
  const kata = readKata(slug, root);
  const accepted = join(root, 'tests', slug, 'submissions/accepted');
  const count = existsSync(accepted) ? readdirSync(accepted).length : 0;
  const broken = new Set(
    submissionsOf(kata)
      .filter(({ name }) => name.startsWith('rejected/'))
      .flatMap(({ breaks }) => breaks),
  );
  return [
    ...unwritten,
    ...(count < leastAccepted
      ? [
          `tests/${slug}/submissions/accepted has ${count} correct answers; it needs ${leastAccepted} of different structure`,
        ]
      : []),
    ...kata.promises
      .filter(({ number }) => !broken.has(number))
      .map(({ number }) => `tests/${slug}/submissions/rejected has no wrong answer that breaks promise ${number}`),
  ];
}
