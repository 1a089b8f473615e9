import { fileURLToPath } from 'node:url';
import { killGroup } from '../../foundations/processes/kill-group.js';
import { forkLeashed } from '../../foundations/processes/spawn-leashed.ts';
import { CapturedOutput } from '../../judging/subject/captured-output.ts';
import type { Sandbox } from '../../judging/subject/sandbox.ts';
import { settings } from '../../foundations/settings.ts';
import type { PromiseVerdict } from '../../judging/verdict/verdict.ts';
import type { FromJudge, JudgeOrder } from './judge-process.ts';

/** What the judge has said of a candidate's module. */
export interface Judgement {
  /** Of the promises that were judged, as far as the judge came. */
  readonly promises: readonly PromiseVerdict[];
  /** Why there is no verdict, or none on every promise. */
  readonly trouble: string | undefined;
  /** What kept the module from being judged to the end, when it was not the module itself. */
  readonly stoppedBy: 'limit' | 'judge' | undefined;
  /** The module did not load; what it printed is kept. */
  readonly notLoaded: { readonly stack: string; readonly printed: string } | undefined;
}

interface JudgeCandidateOptions {
  readonly sandbox: Sandbox;
  /** What random examples are drawn by. */
  readonly seed: number;
  /** The numbers of the only promises that are judged; all of them unless told. */
  readonly promises?: readonly number[] | undefined;
  /** Until the judge's process is ended. */
  readonly limitMs: number;
  /** What the report says when that limit was met. */
  readonly limitReason: string;
  readonly onPromise?: (done: number) => void;
}

const processFile = fileURLToPath(new URL('judge-process.ts', import.meta.url));
const outputLimitBytes = 16 * 1024 * 1024;

/** Judges one module in a process of its own, and ends that process at the limit. Never throws. */
export async function judgeCandidate(
  order: Omit<JudgeOrder, 'settings'>,
  { sandbox, seed, promises: asked, limitMs, limitReason, onPromise }: JudgeCandidateOptions,
): Promise<Judgement> {
  const child = forkLeashed(processFile, 'pipe');
  const [stdout, stderr] = [child.stdout!, child.stderr!].map(
    (stream) => new CapturedOutput(stream, outputLimitBytes, () => end('the judge printed too much')),
  );
  const promises: PromiseVerdict[] = [];
  let finished: Judgement | undefined;
  let ended: string | undefined;
  let isLate = false;

  function end(why: string): void {
    ended ??= why;
    killGroup(child.pid);
  }

  const timer = setTimeout(() => {
    if (ended !== undefined) return;
    isLate = true;
    end(limitReason);
  }, limitMs);
  child.on('message', (message: FromJudge) => {
    if ('promise' in message) {
      promises.push(message.promise);
      onPromise?.(promises.length);
    } else if ('verdict' in message) {
      const { promises: judged, trouble } = message.verdict;
      const stoppedBy = trouble !== undefined || judged.length === 0 ? 'judge' : undefined;
      finished = { promises: judged, trouble: trouble ?? noTests(judged.length), stoppedBy, notLoaded: undefined };
    } else {
      finished = { promises: [], trouble: message.notLoaded, stoppedBy: undefined, notLoaded: message };
    }
  });
  child.send({
    ...order,
    settings: { ...settings(), sandbox, seed: String(seed), promises: asked },
  } satisfies JudgeOrder);
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.once('error', () => resolve([null, null]));
    child.once('close', (...how) => resolve(how));
  });
  clearTimeout(timer);
  if (finished) return finished;
  const words = [stderr!.text, stdout!.text].join('\n').trim().slice(-2000);
  const trouble = ended ?? `The judge’s process ended (${signal ?? code}) before it was done.${words && `\n${words}`}`;
  return { promises, trouble, stoppedBy: isLate ? 'limit' : 'judge', notLoaded: undefined };
}

function noTests(count: number): string | undefined {
  return count === 0 ? 'The judge has no test.' : undefined;
}
