import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Kata, readKata } from '../../foundations/catalogue/catalogue.ts';
import { leashedFolder } from '../../foundations/processes/leashed-folder.ts';
import type { MysqlServer } from '../../mysql-server/source.ts';
import type { Chart } from '../../judging/verdict/chart.ts';
import type { Sandbox } from '../../judging/subject/sandbox.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import type { PromiseVerdict } from '../../judging/verdict/verdict.ts';
import { submissionsOf } from '../../foundations/catalogue/submissions.ts';
import { catalogueIdentity } from './catalogue-identity.ts';
import { type Collected, type Found, pathOf } from './collect.ts';
import { diagnose } from './diagnose.ts';
import { diffOf } from './diff.ts';
import { harmless, harmlessLine } from '../../foundations/sanitizing/harmless.ts';
import { type Judgement, judgeCandidate } from './judge-candidate.ts';
import type { KataScore, PromiseScore, Score } from './score.ts';
import { exportsOf } from './exports-of.ts';
import { type StrangersText, readStranger } from './read-stranger.ts';
import { essenceOf, similarity } from './similarity.ts';
import { kataScore, promiseWeight, tierWeights, totalScore, weighTiers } from './weigh.ts';

export interface ScoreOptions {
  readonly limits: Score['limits'];
  readonly sandbox: Sandbox;
  /** What random examples are drawn by. */
  readonly seed: number;
  /** The numbers of the only promises that are judged, of every kata; all of them unless told. The others count as not judged. */
  readonly promises?: readonly number[];
  /** Gets the server for a kata that needs one; asked only then. */
  readonly server: () => Promise<MysqlServer>;
  readonly onProgress?: (line: string) => void;
}

/** What is shown of a module's own words. */
const printedCharacters = 4_000;

/** Judges what was collected, kata by kata, each from a copy in a temporary folder, and weighs what was seen. */
export async function scoreCandidate(collected: Collected, options: ScoreOptions): Promise<Score> {
  const startedAt = performance.now();
  const scoredAt = new Date().toISOString();
  await using folder = await leashedFolder(tmpdir(), 'kata-score-');
  const katas: KataScore[] = [];
  for (const [slug, found] of collected.found) {
    const leftMs = options.limits.totalMs - (performance.now() - startedAt);
    katas.push(await scoreKata(readKata(slug), found, { ...options, folder: folder.path, leftMs }));
  }
  return {
    schemaVersion: 2,
    candidate: { source: collected.source, kind: collected.kind, commit: collected.commit ?? null },
    catalogue: await catalogueIdentity(),
    scoredAt,
    durationMs: Math.round(performance.now() - startedAt),
    weights: tierWeights,
    limits: options.limits,
    total: totalScore(katas.map(({ score }) => score)),
    katas,
    notes: collected.notes,
  };
}

interface KataOptions extends ScoreOptions {
  readonly folder: string;
  /** What is left of the limit for the whole. */
  readonly leftMs: number;
}

async function scoreKata(kata: Kata, found: Found, options: KataOptions): Promise<KataScore> {
  const { slug } = kata;
  const startedAt = performance.now();
  const text = 'bytes' in found ? textOf(found.bytes) : undefined;
  const fault = 'fault' in found ? found.fault : text === undefined ? `${pathOf(slug)} is not UTF-8 text.` : undefined;
  let server: MysqlServer | undefined;
  let judgement: Judgement = { promises: [], trouble: fault, stoppedBy: undefined, notLoaded: undefined };
  if (text !== undefined && options.leftMs <= 0) {
    judgement = { ...judgement, trouble: wholeLimit(options), stoppedBy: 'limit' };
  } else if (text !== undefined) {
    const file = join(options.folder, `${slug}.ts`);
    await writeFile(file, text, { mode: 0o600 });
    if (kata.needs.includes('mysql')) server = await options.server();
    judgement = await judgeWithin(kata, file, server, options);
    await rm(file);
  }

  const promises = weighPromises(kata, judgement, options.limits.promiseMs);
  const isLate = judgement.promises.some(isTimedOut);
  return {
    slug,
    title: kata.title,
    level: kata.level,
    score: kataScore(promises),
    tiers: weighTiers(promises),
    file:
      'bytes' in found
        ? {
            path: pathOf(slug),
            sha256: createHash('sha256').update(found.bytes).digest('hex'),
            bytes: found.bytes.length,
          }
        : null,
    trouble: judgement.trouble === undefined ? null : harmless(judgement.trouble),
    stoppedBy: judgement.stoppedBy ?? (isLate ? 'limit' : null),
    promises,
    ...(await compare(
      kata,
      text,
      promises,
      judgement.trouble === undefined && !isLate,
      judgement.notLoaded !== undefined,
    )),
    judgedWith: {
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      mysql: server ? { source: server.source, flavour: server.flavour, version: server.version } : null,
      sandbox: options.sandbox,
      seed: options.seed,
      durationMs: Math.round(performance.now() - startedAt),
    },
  };
}

async function judgeWithin(
  kata: Kata,
  file: string,
  server: MysqlServer | undefined,
  { limits, leftMs, sandbox, seed, promises, onProgress }: KataOptions,
): Promise<Judgement> {
  const isWhole = leftMs < limits.kataMs;
  const mysqlServers = server ? [addressOf(server)] : [];
  return await judgeCandidate(
    { slug: kata.slug, file, mysqlServers, promiseLimitMs: limits.promiseMs },
    {
      sandbox,
      seed,
      promises,
      limitMs: Math.min(limits.kataMs, leftMs),
      limitReason: isWhole ? wholeLimit({ limits }) : `the limit of ${limits.kataMs / 1000} s for one kata was met`,
      onPromise: (done) => onProgress?.(`judging ${kata.slug}: ${done} of ${kata.promises.length} promises`),
    },
  );
}

function wholeLimit({ limits }: Pick<ScoreOptions, 'limits'>): string {
  return `the limit of ${limits.totalMs / 1000} s for the whole was met`;
}

/**
 * The promises of the README, each with what the judge said of it, and after them what the judge has and the README has
 * not. What was judged twice or is not known counts as broken, and says so. What was not judged because a limit was met or the
 * judge could not run is not judged.
 */
function weighPromises(kata: Kata, judgement: Judgement, promiseMs: number): PromiseScore[] {
  const tests = new Map<string, PromiseVerdict[]>();
  const keyOf = ({ tier, text }: { tier: string; text: string }) => `${tier} ${text}`;
  for (const test of judgement.promises) tests.set(keyOf(test), [...(tests.get(keyOf(test)) ?? []), test]);

  const known = kata.promises.map((promise) => {
    const [test, ...more] = tests.get(keyOf(promise)) ?? [];
    tests.delete(keyOf(promise));
    if (more.length > 0) return { ...promise, ...unheard(`the judge has ${more.length + 1} tests of this promise`) };
    if (!test)
      return { ...promise, ...unheard(notJudged(judgement), judgement.notLoaded, judgement.stoppedBy === undefined) };
    return { ...promise, ...heard(test, promiseMs) };
  });
  const extra = [...tests.values()].flat().map((test, index) => ({
    number: kata.promises.length + index + 1,
    tier: test.tier,
    text: harmlessLine(test.text),
    ...unheard('the judge has this test, and the README has no such promise'),
  }));
  const all = [
    ...known.map((promise) => ({ ...promise, guard: !kata.starterBreaks.includes(promise.number) })),
    ...extra.map((promise) => ({ ...promise, guard: false })),
  ];
  return all.map((promise) => ({ ...promise, weight: promiseWeight(all, promise) }));
}

type Heard = Pick<PromiseScore, 'held' | 'judged' | 'seen' | 'stack' | 'printed' | 'durationMs' | 'charts'>;

function heard(test: PromiseVerdict, promiseMs: number): Heard {
  const late = isTimedOut(test);
  const seen = late
    ? `not judged: the limit of ${promiseMs / 1000} s for one promise was met`
    : test.notJudged === undefined
      ? test.seen
      : `not judged: ${test.notJudged}`;
  return {
    held: test.held,
    judged: !late && test.notJudged === undefined,
    seen: seen === undefined ? null : harmless(seen),
    stack: test.stack === undefined ? null : harmless(test.stack),
    printed: test.printed === undefined ? null : harmless(test.printed.slice(-printedCharacters)),
    durationMs: Math.round(test.durationMs),
    charts: test.charts.filter(isDrawable).map(harmlessChart),
  };
}

function isTimedOut(test: PromiseVerdict): boolean {
  return test.seen?.startsWith('Test timed out in ') ?? false;
}

function unheard(seen: string, notLoaded?: Judgement['notLoaded'], judged = true): Heard {
  const frames = notLoaded?.stack.split('\n').filter((line) => /^\s+at /.test(line)) ?? [];
  const printed = notLoaded?.printed.slice(-printedCharacters) ?? '';
  return {
    held: false,
    judged,
    seen: harmless(seen),
    stack: frames.length > 0 ? harmless(frames.join('\n')) : null,
    printed: printed === '' ? null : harmless(printed),
    durationMs: 0,
    charts: [],
  };
}

function notJudged({ trouble, stoppedBy, notLoaded }: Judgement): string {
  if (notLoaded || (stoppedBy === undefined && trouble !== undefined)) return trouble ?? '';
  return trouble === undefined ? 'the judge has no test of this promise' : `not judged: ${trouble}`;
}

/** Figures measured in a candidate's process can be anything. */
function isDrawable({ series, limit }: Chart): boolean {
  const figures = [...series.flatMap(({ points }) => points.flat()), ...(limit ? [limit.y] : [])];
  return figures.length > 0 && figures.every(Number.isFinite);
}

function harmlessChart({ title, unit, xLabel, series, limit }: Chart): Chart {
  return {
    title: harmlessLine(title),
    unit: harmlessLine(unit),
    xLabel: harmlessLine(xLabel),
    series: series.map(({ name, points }) => ({ name: harmlessLine(name), points: thinned(points) })),
    ...(limit && { limit: { label: harmlessLine(limit.label), y: limit.y } }),
  };
}

/** More points than a screen has columns draw the same line. */
const mostPoints = 1_000;

function thinned<Point>(points: readonly Point[]): Point[] {
  const step = Math.ceil(points.length / mostPoints);
  return points.filter((_point, index) => index % step === 0 || index === points.length - 1);
}

async function compare(
  kata: Kata,
  text: string | undefined,
  promises: readonly PromiseScore[],
  judged: boolean,
  isUnloadable: boolean,
): Promise<Pick<KataScore, 'diagnosis' | 'diffs'>> {
  const broken = promises.filter(({ held, judged: was }) => !held && was).map(({ number }) => number);
  if (text === undefined) return { diagnosis: diagnose(broken, [], false), diffs: null };
  const own = await readStranger(text);
  const known = await Promise.all(
    submissionsOf(kata).map(async (submission) => ({
      ...submission,
      similarity: similarity(own.essence, await essenceOf(join(repositoryRoot, submission.file))),
    })),
  );
  const missing = broken.length > 0 && !isUnloadable ? await missingExports(kata, own.exports) : [];
  const diagnosis = diagnose(broken, known, judged, missing);
  const candidate = { name: 'candidate', text };
  const starter = { name: 'starter', text: await textOfFile(`katas/${kata.slug}/${kata.slug}.ts`) };
  const { name, file } = known.find((one) => one.name === diagnosis.nearest?.name)!;
  const right = { name, text: await textOfFile(file) };
  return {
    diagnosis,
    diffs: { fromStarter: diffOf(starter, candidate), toNearest: { name, ...diffOf(candidate, right) } },
  };
}

/** What the starter and the reference solution both export, and this module does not. */
async function missingExports({ slug }: Kata, own: StrangersText['exports']): Promise<string[]> {
  const [starter = [], solution = []] = await Promise.all([
    exportsOf(await textOfFile(`katas/${slug}/${slug}.ts`)),
    exportsOf(await textOfFile(`solutions/${slug}/${slug}.ts`)),
  ]);
  return own === undefined ? [] : starter.filter((name) => solution.includes(name) && !own.includes(name));
}

async function textOfFile(file: string): Promise<string> {
  return await readFile(join(repositoryRoot, file), 'utf8');
}

function textOf(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function addressOf({ host, port, user, password }: MysqlServer) {
  return { host, port, user, password };
}
