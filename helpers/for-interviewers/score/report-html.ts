import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { html as diffHtml } from 'diff2html';
import { chartSvg } from './chart-svg.ts';
import { safe } from './safe-markup.ts';
import type { ChartScore, Diff, KataScore, PromiseScore, Score } from './score.ts';
import {
  boundedScore,
  candidateWords,
  catalogueWords,
  formulaWords,
  judgedWithWords,
  tierWords,
  weightWords,
} from './words.ts';

const { resolve } = createRequire(import.meta.url);

/**
 * The score as one page that asks for nothing: no script, no file beside it, no network. Its policy forbids them, so that a
 * candidate's text could do nothing even if it got into the page as markup.
 */
export function htmlReport(score: Score): string {
  const diffStyle = readFileSync(resolve('diff2html/bundles/css/diff2html.min.css'), 'utf8');
  const ownStyle = readFileSync(new URL('report.css', import.meta.url), 'utf8');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${boundedScore(score.total, score.katas)} of 100 · ${safe(score.candidate.source)}</title>
<style>${diffStyle}
${ownStyle}</style>
</head>
<body>
<header>
<p class="total"><strong class="${grade(score.total)}">${boundedScore(score.total, score.katas)}</strong> of 100</p>
<p class="candidate">${safe(candidateWords(score))}</p>
</header>
<main>
${overview(score)}
${score.notes.length > 0 ? `<ul class="notes">${score.notes.map((note) => `<li>${safe(note)}</li>`).join('')}</ul>` : ''}
${score.katas.map(kataSection).join('\n')}
</main>
<footer>
<p>${safe(formulaWords(score))}</p>
<p>Limits: ${score.limits.promiseMs / 1000} s for a promise, ${score.limits.kataMs / 1000} s for a kata, ${score.limits.totalMs / 1000} s for the whole.</p>
<p>Catalogue ${safe(catalogueWords(score))}. Scored at ${safe(score.scoredAt)} in ${(score.durationMs / 1000).toFixed(1)} s. This page holds right answers: it is for the interviewer.</p>
</footer>
</body>
</html>
`;
}

function overview(score: Score): string {
  const rows = score.katas.map(
    (kata) =>
      `<tr><td><a href="#${safe(kata.slug)}">${safe(kata.title)}</a></td><td class="figure ${grade(kata.score)}">${boundedScore(kata.score, [kata])}</td><td>${safe(tierWords(kata))}</td></tr>`,
  );
  return `<div class="scroll"><table class="overview"><thead><tr><th>kata</th><th class="figure">score</th><th>promises held</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

function kataSection(kata: KataScore): string {
  const charts = kata.promises.flatMap((promise) => promise.charts.map((chart) => figure(promise, chart)));
  const { file, trouble, diagnosis } = kata;
  const firstBroken = kata.promises.find(({ held, judged }) => !held && judged);
  return `<section id="${safe(kata.slug)}">
<h2>${safe(kata.title)} <span class="${grade(kata.score)}">${boundedScore(kata.score, [kata])}</span></h2>
${trouble === null ? '' : `<div class="trouble"><p>Not judged, or not to the end:</p>${pre(trouble)}</div>`}
${file === null ? '' : diagnosisPart(kata)}
<ol class="board">${kata.promises.map((promise) => promiseItem(promise, promise === firstBroken)).join('')}</ol>
${charts.length > 0 ? `<h3>What was measured</h3><div class="charts">${charts.join('')}</div>` : ''}
${kata.diffs ? `${diffPart('From the starter to the candidate', kata.diffs.fromStarter)}${diffPart(`From the candidate to ${kata.diffs.toNearest.name}, the nearest right answer${nearness(diagnosis.nearest)}`, kata.diffs.toNearest)}` : ''}
<p class="fine">${file ? `<code>${safe(file.path)}</code>, ${file.bytes} bytes, SHA-256 <code class="hash">${file.sha256}</code><br>` : ''}${safe(judgedWithWords(kata))}</p>
</section>`;
}

function diagnosisPart({ diagnosis }: KataScore): string {
  const [, ...others] = diagnosis.matches;
  // The first one's question is in the sentence.
  const list = diagnosis.matches.map(
    ({ name, ask, breaks, similarity }) =>
      `<li>${others.length > 0 && ask !== null ? `<q>${safe(ask)}</q> ` : ''}<span class="fine">${safe(name)} breaks ${breaks.join(', ')}; ${percent(similarity)} alike in text</span></li>`,
  );
  return `<div class="diagnosis"><p>${safe(diagnosis.sentence)}</p>${list.length > 0 ? `<ul>${list.join('')}</ul>` : ''}</div>`;
}

function promiseItem(promise: PromiseScore, isOpen: boolean): string {
  const { number, text, held, judged, seen, stack, printed } = promise;
  const told = [
    seen === null ? '' : pre(seen),
    stack === null ? '' : pre(stack),
    printed === null ? '' : `<p>The module printed:</p>${pre(printed)}`,
  ].join('');
  const head = `<span class="mark ${held ? 'good' : judged ? 'bad' : 'part'}" aria-label="${held ? 'held' : judged ? 'broken' : 'not judged'}">${held ? '✓' : judged ? '✗' : '–'}</span><span class="number">${number}</span><span class="text">${safe(text)}</span><span class="tier">${weightWords(promise)}</span>`;
  return held || told === ''
    ? `<li><div class="row">${head}</div></li>`
    : `<li><details${isOpen ? ' open' : ''}><summary class="row">${head}</summary>${told}</details></li>`;
}

function figure({ number }: PromiseScore, chart: ChartScore): string {
  return `<figure><figcaption>${safe(chart.title)} <span class="fine">promise ${number}</span></figcaption>${chartSvg(chart)}</figure>`;
}

function diffPart(title: string, { patch, why }: Diff): string {
  const hasLines = patch !== null && /^@@/m.test(patch);
  const content = hasLines
    ? diffHtml(patch, {
        outputFormat: 'side-by-side',
        drawFileList: false,
        matching: 'lines',
        matchingMaxComparisons: 500,
        diffMaxChanges: 5_000,
        colorScheme: 'auto' as never,
      })
    : `<p>${safe(why ?? 'The two texts are the same.')}</p>`;
  return `<details class="diff"><summary>${safe(title)}</summary>${content}</details>`;
}

function nearness(nearest: KataScore['diagnosis']['nearest']): string {
  return nearest ? ` (${percent(nearest.similarity)} alike)` : '';
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function grade(value: number): string {
  return value === 100 ? 'good' : value === 0 ? 'bad' : 'part';
}

function pre(text: string): string {
  return `<pre>${safe(text)}</pre>`;
}
