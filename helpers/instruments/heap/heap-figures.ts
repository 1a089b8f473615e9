import { setTimeout as pause } from 'node:timers/promises';
import type { Subject } from '../../judging/subject/subject.ts';

/** What a subject's process holds. Bytes; `timers` counts those that are not cleared, whether or not they hold the process. */
export interface HeapFigures {
  readonly rss: number;
  readonly heapTotal: number;
  readonly heapUsed: number;
  readonly external: number;
  /** Bytes of ArrayBuffers, Buffers among them; they are outside the heap. */
  readonly arrayBuffers: number;
  readonly timers: number;
  /** Of the objects given to `tools.watch`: how many were seen, and how many have been collected, by name. */
  readonly watched: Readonly<Record<string, { readonly seen: number; readonly collected: number }>>;
}

type AnySubject = Pick<Subject<never>, 'probe'>;

/** The figures after a full garbage collection. The kata's README must name `heap` among its needs. */
export async function collect(subject: AnySubject): Promise<HeapFigures> {
  return readFigures(await subject.probe('collect'));
}

/**
 * The figures after one full garbage collection: what finalisers have let go after it is still there. It costs half, and
 * does where one asks again until the figures satisfy.
 */
async function collectOnce(subject: AnySubject): Promise<HeapFigures> {
  return readFigures(await subject.probe('collect once'));
}

/** The figures as they are, without a collection. */
export async function measure(subject: AnySubject): Promise<HeapFigures> {
  return readFigures(await subject.probe('measure'));
}

/** What a module lets go of a moment later counts as let go: so long, and so often, is asked again. */
const patienceMs = 1_000;
const patienceRounds = 10;

/**
 * Collects until the figures satisfy, or have had their time, on a slow machine too.
 * @returns the last figures, whatever they are
 */
export async function collectUntil(
  subject: AnySubject,
  satisfied: (figures: HeapFigures) => boolean,
): Promise<HeapFigures> {
  let figures = await collectOnce(subject);
  const end = performance.now() + patienceMs;
  for (let round = 1; !satisfied(figures) && (round < patienceRounds || performance.now() < end); round++) {
    await pause(50);
    figures = await collectOnce(subject);
  }
  return figures;
}

/** A module can reach the process that measures: figures that are none are refused, not believed. */
function readFigures(told: unknown): HeapFigures {
  const figures = told as HeapFigures;
  const names = ['rss', 'heapTotal', 'heapUsed', 'external', 'arrayBuffers', 'timers'] as const;
  if (typeof told !== 'object' || told === null || !names.every((name) => Number.isFinite(figures[name])))
    throw new Error('The heap probe gave no figures; something in the process has changed what it measures with.');
  return figures;
}
