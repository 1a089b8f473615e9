import type { Tier } from '../../foundations/catalogue/catalogue.ts';
import type { Chart } from '../../judging/verdict/chart.ts';
import type { Sandbox } from '../../judging/subject/sandbox.ts';

/** Raised when a reader of an older score.json could misread a newer one. */
export const schemaVersion = 2;

/** What `score.json` holds; `score.schema.json` says the same to other programs. All texts in it are harmless. */
export interface Score {
  readonly schemaVersion: typeof schemaVersion;
  readonly candidate: {
    readonly source: string;
    readonly kind: 'file' | 'folder' | 'archive' | 'git';
    readonly commit: string | null;
  };
  readonly catalogue: { readonly version: string; readonly commit: string | null; readonly hash: string };
  readonly scoredAt: string;
  readonly durationMs: number;
  readonly weights: Readonly<Record<Tier, number>>;
  readonly limits: { readonly promiseMs: number; readonly kataMs: number; readonly totalMs: number };
  /** Of 100: the mean over the katas. A lower bound when something was not judged. */
  readonly total: number;
  readonly katas: readonly KataScore[];
  /** What is odd about what the candidate sent, one sentence each. */
  readonly notes: readonly string[];
}

export interface KataScore {
  readonly slug: string;
  readonly title: string;
  readonly level: string;
  /** Of 100. */
  readonly score: number;
  readonly tiers: readonly TierScore[];
  /** The file that was judged. */
  readonly file: { readonly path: string; readonly sha256: string; readonly bytes: number } | null;
  /** Why it was not judged at all, or not to the end. */
  readonly trouble: string | null;
  /** What kept promises from being judged that the module may well keep: a limit that was met, or a judge that could not run. */
  readonly stoppedBy: 'limit' | 'judge' | null;
  readonly promises: readonly PromiseScore[];
  readonly diagnosis: Diagnosis;
  readonly diffs: { readonly fromStarter: Diff; readonly toNearest: Diff & { readonly name: string } } | null;
  readonly judgedWith: {
    readonly node: string;
    readonly platform: string;
    readonly mysql: { readonly source: string; readonly flavour: string; readonly version: string } | null;
    readonly sandbox: Sandbox;
    /** What random examples were drawn by; the same seed draws the same ones. */
    readonly seed: number;
    readonly durationMs: number;
  };
}

export interface TierScore {
  readonly tier: Tier;
  readonly held: number;
  readonly of: number;
  /** What the tier adds to this kata's score when all of it is held, of 100. */
  readonly weight: number;
}

export interface PromiseScore {
  readonly number: number;
  readonly tier: Tier;
  readonly text: string;
  readonly held: boolean;
  /** Whether it was judged. A promise that was not is not held, and nobody knows whether it is broken. */
  readonly judged: boolean;
  /** Whether the starter holds it already: it costs its weight when it is lost, and gives nothing when it is kept. */
  readonly guard: boolean;
  /** What it adds to the kata's score when it is held; of a guard, what it takes away when it is not. */
  readonly weight: number;
  readonly seen: string | null;
  readonly stack: string | null;
  readonly printed: string | null;
  readonly durationMs: number;
  readonly charts: readonly Chart[];
}

/** What the broken promises, taken together, look like. */
export interface Diagnosis {
  /**
   * `green`: nothing is broken. `exact`: a known wrong answer breaks the very same promises. `nearest`: none does, and the
   * matches come nearest. `incomplete`: the module lacks something that it must export. `unjudged`: the module was not judged to the
   * end, so nothing is said.
   */
  readonly kind: 'green' | 'exact' | 'nearest' | 'incomplete' | 'unjudged';
  readonly sentence: string;
  readonly matches: readonly Match[];
  /** The right answer whose text is nearest, and how near: 1 is the same text but for comments, spacing and names. */
  readonly nearest: { readonly name: string; readonly similarity: number } | null;
}

export interface Match {
  readonly name: string;
  readonly ask: string | null;
  readonly breaks: readonly number[];
  readonly similarity: number;
}

/** A unified diff, or why there is none. */
export interface Diff {
  readonly patch: string | null;
  readonly why: string | null;
}

/** Generous: a right module on a busy laptop takes a tenth of it. */
export const defaultLimits: Score['limits'] = { promiseMs: 120_000, kataMs: 300_000, totalMs: 900_000 };
