import wrapAnsi from 'wrap-ansi';
import type { KataScore, Score } from './score.ts';
import { candidateWords, judgedWithWords, shownScore, tierWords } from './words.ts';
import { painter } from '../../foundations/command-line/terminal.ts';

const columns = 100;
/** Goes before text that a candidate wrote, so that no line of a log begins with that text. */
const quote = '│ ';

/** The first screen: the score by kata and tier, what it looks like, and where to read on. */
export function terminalReport(
  score: Score,
  { isColored, files }: { isColored: boolean; files: readonly string[] },
): string {
  const paint = painter(isColored);
  const lines = ['', quoted(candidateWords(score)).trimStart(), ''];
  for (const kata of score.katas) {
    const value = paint(
      kata.score === 100 ? 'green' : kata.score === 0 ? 'red' : 'yellow',
      shownScore(kata.score).padStart(5),
    );
    lines.push(`${value}  ${paint('bold', kata.slug)}  ${tierWords(kata)}`, ...story(kata), '');
  }
  for (const note of score.notes) lines.push(quoted(note));
  if (score.notes.length > 0) lines.push('');
  const hasGaps = score.katas.some(({ promises }) => promises.some(({ judged }) => !judged));
  const seconds = (score.durationMs / 1000).toFixed(1);
  lines.push(
    `${paint('bold', shownScore(score.total).padStart(5))}  of 100${hasGaps ? ' at least' : ''}, the mean of ${count(score.katas.length, 'kata')}, in ${seconds} s`,
  );
  for (const line of new Set(score.katas.map((kata) => judgedWithWords(kata).replace(/, [\d.]+ s$/, ''))))
    lines.push(`       ${line}`);
  return [...lines, '', ...files.map((file) => `       ${file}`), ''].join('\n');
}

function story(kata: KataScore): string[] {
  const broken = kata.promises.filter(({ held, judged }) => !held && judged);
  const unjudged = kata.promises.filter(({ judged }) => !judged);
  const lines: string[] = [];
  if (kata.trouble !== null) lines.push(quoted(kata.trouble.split('\n')[0]!));
  else if (broken.length > 0) lines.push(quoted(`breaks ${broken.map(({ number }) => number).join(', ')}`));
  if (unjudged.length > 0) lines.push(quoted(`not judged: ${unjudged.map(({ number }) => number).join(', ')}`));
  // A file that is not there needs no second sentence.
  if (kata.file !== null) lines.push(quoted(kata.diagnosis.sentence));
  return lines;
}

function quoted(text: string): string {
  return wrapAnsi(text, columns - 9, { hard: true })
    .split('\n')
    .map((line) => `       ${quote}${line}`)
    .join('\n');
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
