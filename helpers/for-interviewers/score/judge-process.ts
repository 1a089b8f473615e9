// Started by judge-candidate.ts in a process of its own, so that a judge that hangs or runs out of memory costs one kata
// and not the score. Judges one module and tells what it sees as it goes.
import { readNeeds } from '../../foundations/catalogue/front-matter.ts';
import { type Settings, adoptSettings } from '../../foundations/settings.ts';
import type { ServerAddress } from '../../foundations/server-address.ts';
import { Subject } from '../../judging/subject/subject.ts';
import { SubjectError } from '../../judging/subject/subject-error.ts';
import { moduleName } from '../../foundations/catalogue/target.ts';
import type { PromiseVerdict, Verdict } from '../../judging/verdict/verdict.ts';
import { judge } from '../../judging/run/judge.ts';

export interface JudgeOrder {
  readonly slug: string;
  /** The candidate's file, a copy. */
  readonly file: string;
  readonly mysqlServers: ServerAddress[];
  readonly promiseLimitMs: number;
  readonly settings: Settings;
}

export type FromJudge =
  /** The module cannot be judged, for it does not even load. */
  | { readonly notLoaded: string; readonly stack: string; readonly printed: string }
  | { readonly promise: PromiseVerdict }
  | { readonly verdict: Verdict };

process.once('message', (order: JudgeOrder) => void run(order));
process.once('disconnect', () => process.exit());

async function run({ slug, file, mysqlServers, promiseLimitMs, settings }: JudgeOrder): Promise<void> {
  adoptSettings(settings);
  const refusal = await whyNotLoaded(slug, file);
  if (refusal) tell(refusal);
  else
    await judge(
      [{ slug, name: 'candidate', target: file, promises: settings.promises }],
      mysqlServers,
      (_module, verdict) => tell({ verdict }),
      {
        promiseLimitMs,
        onPromise: (_module, promise) => tell({ promise }),
      },
    );
  process.disconnect?.();
}

async function whyNotLoaded(slug: string, file: string): Promise<FromJudge | undefined> {
  await using subject = new Subject(file, { needs: readNeeds(slug), name: moduleName(slug, file) });
  try {
    await subject.load();
    return undefined;
  } catch (error) {
    if (!(error instanceof SubjectError)) throw error;
    return { notLoaded: error.message, stack: error.stack ?? '', printed: subject.printed };
  }
}

function tell(message: FromJudge): void {
  (process as unknown as { send(message: FromJudge): void }).send(message);
}
