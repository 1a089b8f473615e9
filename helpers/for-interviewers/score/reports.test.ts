import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { diffOf } from './diff.ts';
import { mergeScores } from './merge.ts';
import { faultOfScore, readScore } from './read-score.ts';
import { htmlReport } from './report-html.ts';
import { junitReport } from './report-junit.ts';
import { markdownReport } from './report-markdown.ts';
import { terminalReport } from './report-terminal.ts';
import { scoreJsonSchema } from './score-schema.ts';
import type { KataScore, Score } from './score.ts';

/** What a module would say if it could; made harmless already, as all text in a score is. */
const hostile =
  '``` </pre><script>alert(1)</script> ]]> <img src=x onerror="y"> \\::notice::x & | # @everyone https://x.y';

const folder = await testFolder(afterAll);

describe('the schema', () => {
  test('is what score.schema.json says to other programs', async () => {
    // After a change: npx vitest run --config helpers/vitest.config.ts -u helpers/for-interviewers/score/reports.test.ts
    await expect(scoreJsonSchema()).toMatchFileSnapshot('score.schema.json');
  });

  test('takes a score', () => {
    expect(faultOfScore(scoreOf(kataOf('one')))).toBeUndefined();
  });

  test.each<[string, (score: Record<string, any>) => unknown]>([
    ['another version', (score) => (score['schemaVersion'] = 1)],
    ['a total above 100', (score) => (score['total'] = 101)],
    ['a total that is text', (score) => (score['total'] = '100')],
    ['no catalogue', (score) => delete score['catalogue']],
    ['no kata', (score) => (score['katas'] = [])],
    ['a promise without a verdict', (score) => delete score['katas'][0].promises[0].held],
    ['a slug that is a path', (score) => (score['katas'][0].slug = '../x')],
    ['a sandbox that holds nothing', (score) => (score['katas'][0].judgedWith.sandbox = 'none')],
    ['an unknown field', (score) => (score['extra'] = 1)],
    ['a chart whose point is none', (score) => (score['katas'][0].promises[0].charts[0].series[0].points[0] = [1])],
  ])('refuses %s', (_what, spoil) => {
    const score = structuredClone(scoreOf(kataOf('one'))) as unknown as Record<string, any>;
    spoil(score);

    expect(faultOfScore(score)).toBeTypeOf('string');
  });
});

describe('reading a score.json that another machine wrote', () => {
  test('its texts are made harmless again', async () => {
    const file = join(folder, 'foreign.json');
    await writeFile(file, JSON.stringify({ ...scoreOf(kataOf('one')), notes: ['::error::x', '\x1b[2J'] }));

    expect(readScore(file).notes).toEqual(['\\::error::x', '']);
  });

  test.each([
    ['nothing.json', undefined, /^There is no .*nothing\.json/],
    ['text.json', 'no json', /is not JSON/],
    ['other.json', '{"schemaVersion": 1}', /is not a valid score: .*Was it made by another version\?/],
  ])('%s is bad input', async (name, text, message) => {
    if (text !== undefined) await writeFile(join(folder, name), text);

    expect(() => readScore(join(folder, name))).toThrow(message);
  });
});

describe('merging', () => {
  test('the katas of all parts, and one total, counted again', () => {
    const [one, two] = [scoreOf(kataOf('one', true)), scoreOf(kataOf('two', false))];

    const merged = mergeScores([{ ...two, total: 99 }, one]);

    expect(merged.katas.map(({ slug, score }) => [slug, score])).toEqual([
      ['one', 100],
      ['two', 66.67],
    ]);
    expect(merged.total).toBe(83.34);
    expect(faultOfScore(merged)).toBeUndefined();
  });

  test('the same kata twice, another candidate, another catalogue are refused', () => {
    const one = scoreOf(kataOf('one'));
    const two = scoreOf(kataOf('two'));

    expect(() => mergeScores([one, one])).toThrow('one was judged in two of these parts.');
    expect(() => mergeScores([one, { ...two, candidate: { ...two.candidate, source: 'joe' } }])).toThrow(
      'These are scores of different candidates: jane and joe.',
    );
    expect(() => mergeScores([one, { ...two, catalogue: { ...two.catalogue, hash: 'b'.repeat(64) } }])).toThrow(
      'These were judged by different catalogues',
    );
    expect(() => mergeScores([])).toThrow('There is nothing to merge.');
  });
});

describe('what a stranger said is only read', () => {
  const score = scoreOf(kataOf('one', false, hostile));

  test('in HTML: no markup, and a policy that forbids scripts and the network', async () => {
    const page = htmlReport({ ...score, notes: [hostile], candidate: { ...score.candidate, source: hostile } });

    expect(page).not.toMatch(/<script|<img|onerror="y"/);
    expect(page).toContain("default-src 'none'; style-src 'unsafe-inline'");
    expect(page.replace(/xmlns(:xlink)?="[^"]*"/g, '')).not.toMatch(/(?:src|href)="(?!#)|url\(|@import/);
    expect(page).toContain('&#60;script&#62;');
  });

  test('in Markdown: within fences that it cannot end, and no markup outside them', () => {
    const report = markdownReport({ ...score, notes: [hostile] });

    const [, fence] = /^(`{3,})text$/m.exec(report)!;
    expect(fence).toBe('````');
    const outside = report.replaceAll(/^(`{3,})text\n[^]*?\n\1$/gm, '').replaceAll(/(`+) .*? \1(?!`)/g, '');
    expect(outside).not.toMatch(/<script|<img|@everyone/);
  });

  test('in JUnit: well-formed, a failure that is counted as one', () => {
    const report = junitReport(score);

    expect(report).toMatch(/^<\?xml version="1\.0"/);
    expect(report).toMatch(/<testsuite name="one"[^>]* tests="2" failures="1" errors="0"/);
    expect(report).toContain('<failure message=');
    expect(report).toContain(']]]]><![CDATA[>');
    expect(report.replaceAll(/<!\[CDATA\[[^]*?\]\]>/g, '')).not.toMatch(/<script|<img/);
  });

  test('on a terminal: behind a mark on every line', () => {
    const report = terminalReport(scoreOf({ ...kataOf('one'), trouble: '::error::x'.repeat(30) }), {
      isColored: false,
      files: [],
    });

    for (const line of report.split('\n').filter((text) => text.includes('error'))) expect(line).toMatch(/^ {7}│ /);
  });
});

describe('a page', () => {
  test('shows the score, the question, both diffs and the chart', async () => {
    const page = htmlReport(scoreOf(kataOf('one')));

    expect(page).toContain('<strong class="part">60</strong> of 100');
    expect(page).toContain('It breaks exactly what x breaks: ask &#34;Why?&#34;');
    expect(page.match(/class="d2h-file-side-diff"/g)).toHaveLength(4);
    expect(page).toMatch(/<figure><figcaption>measured .*<svg [^>]*viewBox/s);
  });
});

describe('a diff', () => {
  test('has both texts', () => {
    const { patch } = diffOf({ name: 'a', text: 'one\ntwo\n' }, { name: 'b', text: 'one\nthree\n' });

    expect(patch).toMatch(/--- a[^]*\+\+\+ b[^]* one\n-two\n\+three\n/);
  });

  test.each([
    ['a long text', 'x\n'.repeat(60_000)],
    ['a long line', 'x'.repeat(3_000)],
  ])('%s is not shown', (_what, text) => {
    expect(diffOf({ name: 'a', text: 'a' }, { name: 'b', text })).toEqual({
      patch: null,
      why: 'The text is too long to be shown side by side.',
    });
  });

  test('a diff of texts with nothing in common ends soon', () => {
    const lines = (word: string) => Array.from({ length: 9_000 }, (_, index) => `${word}${index}`).join('\n');

    const { patch, why } = diffOf({ name: 'a', text: lines('a') }, { name: 'b', text: lines('b') });

    expect(patch === null ? why : 'shown').toMatch(/too little in common|shown/);
  });
});

function scoreOf(kata: KataScore): Score {
  return {
    schemaVersion: 2,
    candidate: { source: 'jane', kind: 'folder', commit: null },
    catalogue: { version: '1.0.0', commit: 'c'.repeat(40), hash: 'a'.repeat(64) },
    scoredAt: '2026-01-02T03:04:05.678Z',
    durationMs: 1234,
    weights: { core: 60, robust: 30, stretch: 10 },
    limits: { promiseMs: 1, kataMs: 2, totalMs: 3 },
    total: kata.score,
    katas: [kata],
    notes: [],
  };
}

function kataOf(slug: string, held = false, said = 'expected 1 to be 2'): KataScore {
  const charts = [
    {
      title: 'measured',
      unit: 'bytes',
      xLabel: 'time',
      series: [{ name: 'read', points: [[1, 2] as const, [2, 3] as const] }],
    },
  ];
  const promise = { stack: null, judged: true, guard: false, durationMs: 5, charts: [] };
  return {
    slug,
    title: 'A kata',
    level: 'mid',
    score: held ? 100 : 60,
    tiers: [
      { tier: 'core', held: 1, of: 1, weight: 60 },
      { tier: 'robust', held: Number(held), of: 1, weight: 40 },
    ],
    file: { path: `katas/${slug}/${slug}.ts`, sha256: 'd'.repeat(64), bytes: 10 },
    trouble: null,
    stoppedBy: null,
    promises: [
      {
        ...promise,
        number: 1,
        tier: 'core',
        text: 'It does.',
        held: true,
        weight: 60,
        seen: null,
        printed: null,
        charts,
      },
      {
        ...promise,
        number: 2,
        tier: 'robust',
        text: 'It lasts.',
        held,
        weight: 40,
        seen: held ? null : said,
        printed: said,
      },
    ] as KataScore['promises'],
    diagnosis: {
      kind: held ? 'green' : 'exact',
      sentence: 'It breaks exactly what x breaks: ask "Why?"',
      matches: [{ name: 'rejected/x', ask: 'Why?', breaks: [2], similarity: 0.5 }],
      nearest: { name: 'solution', similarity: 0.25 },
    },
    diffs: {
      fromStarter: diffOf({ name: 'starter', text: 'a\n' }, { name: 'candidate', text: `${said}\n` }),
      toNearest: {
        name: 'solution',
        ...diffOf({ name: 'candidate', text: `${said}\n` }, { name: 'solution', text: 'b\n' }),
      },
    },
    judgedWith: {
      node: 'v26.10.0',
      platform: 'linux x64',
      mysql: null,
      sandbox: 'permission-model',
      seed: 7,
      durationMs: 900,
    },
  };
}
