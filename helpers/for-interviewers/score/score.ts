import type { z } from 'zod';
import type { scoreSchema } from './score-schema.ts';

type DeepReadonly<T> = T extends object ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> } : T;

/** What `score.json` holds; score-schema.ts says what each field means. All texts in it are harmless. */
export type Score = DeepReadonly<z.infer<typeof scoreSchema>>;
export type KataScore = Score['katas'][number];
export type TierScore = KataScore['tiers'][number];
export type PromiseScore = KataScore['promises'][number];
export type ChartScore = PromiseScore['charts'][number];
export type Diagnosis = KataScore['diagnosis'];
export type Match = Diagnosis['matches'][number];
export type Diff = NonNullable<KataScore['diffs']>['fromStarter'];

/** Generous: a correct module on a busy laptop takes a tenth of it. */
export const defaultLimits: Score['limits'] = { promiseMs: 120_000, kataMs: 300_000, totalMs: 900_000 };
