import { harmlessLine } from '../../foundations/sanitizing/harmless.ts';
import type { KataScore, PromiseScore, Score } from './score.ts';
import {
  boundedScore,
  candidateWords,
  catalogueWords,
  formulaWords,
  judgedWithWords,
  tierWords,
  weightWords,
} from './words.ts';

/** How much of what was seen a summary shows. */
const seenCharacters = 3_000;

/** The score as Markdown, for a pull request or a workflow's summary. Text that a candidate wrote appears in code blocks only. */
export function markdownReport(score: Score): string {
  const lines = [
    `# ${boundedScore(score.total, score.katas)} of 100`,
    '',
    code(candidateWords(score)),
    '',
    '| kata | score | tiers | diagnosis |',
    '| --- | ---: | --- | --- |',
    ...score.katas.map(
      (kata) =>
        `| ${text(kata.slug)} | ${boundedScore(kata.score, [kata])} | ${tierWords(kata)} | ${text(kata.file === null ? 'There is no file to judge.' : kata.diagnosis.sentence)} |`,
    ),
    '',
    ...score.notes.flatMap((note) => [`- ${code(note)}`]),
    ...(score.notes.length > 0 ? [''] : []),
    ...score.katas.flatMap(kataLines),
    '---',
    '',
    `Catalogue ${text(catalogueWords(score))}. ${text(formulaWords(score))} Scored at ${text(score.scoredAt)} in ${(score.durationMs / 1000).toFixed(1)} s.`,
    '',
  ];
  return lines.join('\n');
}

function kataLines(kata: KataScore): string[] {
  const lines = [`## ${text(kata.title)}: ${boundedScore(kata.score, [kata])}`, ''];
  if (kata.trouble !== null) lines.push('Not judged, or not to the end:', '', ...block(kata.trouble), '');
  for (const promise of kata.promises)
    lines.push(
      `- ${promise.held ? '✅' : promise.judged ? '❌' : '➖'} ${promise.number}. ${text(promise.text)} _(${weightWords(promise)})_`,
    );
  lines.push('');
  const first = kata.promises.find((promise) => !promise.held && promise.judged);
  if (first && kata.trouble === null) lines.push(...seenLines(first));
  for (const { name, ask } of kata.diagnosis.matches)
    if (ask !== null) lines.push(`- Ask, as of \`${name}\`: ${text(ask)}`);
  if (kata.diagnosis.matches.length > 0) lines.push('');
  if (kata.file) lines.push(`\`${kata.file.path}\`, ${kata.file.bytes} bytes, SHA-256 \`${kata.file.sha256}\``, '');
  lines.push(text(judgedWithWords(kata)), '');
  return lines;
}

function seenLines({ number, seen, stack, printed }: PromiseScore): string[] {
  const lines = [
    `The first broken promise is ${number}. What was seen:`,
    '',
    ...block([seen, stack].filter(Boolean).join('\n')),
    '',
  ];
  if (printed !== null) lines.push('The module printed:', '', ...block(printed), '');
  return lines;
}

/** A code block whose fence is longer than any that is in the text, so that the text cannot end it. */
function block(content: string): string[] {
  const longest = Math.max(2, ...(content.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  return [`${fence}text`, content.slice(0, seenCharacters), fence];
}

/** The same within a line. */
function code(content: string): string {
  const line = harmlessLine(content, 1_000);
  const fence = '`'.repeat(Math.max(0, ...(line.match(/`+/g) ?? []).map((run) => run.length)) + 1);
  return `${fence} ${line} ${fence}`;
}

/** Words of the catalogue's, or of a score.json that another machine wrote: nothing in them is markup. */
function text(words: string): string {
  return harmlessLine(words, 2_000)
    .replace(/[\\`*_{}[\]<>#|~!&]/g, (char) => `&#${char.charCodeAt(0)};`)
    .replace(/@|:\/\//g, (mark) => `${mark}\u200b`);
}
