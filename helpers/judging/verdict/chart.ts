import { TestRunner } from 'vitest';

/** What a test measured, to be drawn beside its verdict. Plain data; figures only. */
export interface Chart {
  readonly title: string;
  /** What the y axis counts, for example `bytes read`. */
  readonly unit: string;
  readonly xLabel: string;
  readonly series: readonly { readonly name: string; readonly points: (readonly [x: number, y: number])[] }[];
  /** A line across, for what the figures are held against. */
  readonly limit?: { readonly label: string; readonly y: number };
}

declare module 'vitest' {
  interface TaskMeta {
    /** What this test measured. */
    charts?: Chart[];
  }
}

/**
 * For a judge: attaches samples to the current test, to be drawn by `npm run score`; no verdict depends on them. Points
 * that are pushed into the series afterwards count too, so attach before measuring: a test that fails then shows how far it came.
 */
export function chart<Samples extends Chart>(samples: Samples): Samples {
  const task = TestRunner.getCurrentTest();
  if (task) (task.meta.charts ??= []).push(samples);
  return samples;
}
