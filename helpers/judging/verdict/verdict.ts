import type { TestCase, TestModule } from 'vitest/node';
import { type KataPromise, type Tier, tiers } from '../../foundations/catalogue/catalogue.ts';
import type { Chart } from './chart.ts';
import type { Margin } from './expect-that.ts';

/** What the judge says of one promise. */
export interface PromiseVerdict extends KataPromise {
  readonly held: boolean;
  /** Why this platform cannot tell whether it is held, when it cannot: the reason that the test gave to `skip`. */
  readonly notJudged: string | undefined;
  /** What was seen, when the promise was broken. */
  readonly seen: string | undefined;
  /** The module's own stack, when it threw. */
  readonly stack: string | undefined;
  /** What the module printed, when the promise was broken. */
  readonly printed: string | undefined;
  /** The line of the judge that was not satisfied. */
  readonly line: number | undefined;
  readonly durationMs: number;
  /** What the judge measured. */
  readonly charts: readonly Chart[];
  /** The quantities that the verdict depended on. */
  readonly margins: readonly Margin[];
}

/** What the judge says of one module, promise by promise, in the order of its file. */
export interface Verdict {
  readonly slug: string;
  readonly promises: readonly PromiseVerdict[];
  /** Why the judge itself could not run, when it could not. */
  readonly trouble: string | undefined;
}

/** Reads the verdict out of a judge's finished test file. A test that did not run to its end has not held its promise. */
export function verdictOf(module: TestModule): Verdict {
  const slug = /tests[\\/]([^\\/]+)[\\/][^\\/]+\.test\.ts$/.exec(module.moduleId)?.[1] ?? module.moduleId;
  const promises = [...module.children.allTests()].map((test, index) => promiseVerdict(test, index + 1));
  const [error] = module.errors();
  return { slug, promises, trouble: error ? plainMessage(error.message) : undefined };
}

/** Reads what one finished test says of its promise. */
export function promiseVerdict(test: TestCase, number: number): PromiseVerdict {
  const { parent } = test;
  const tier = parent.type === 'suite' ? tiers.find((name) => name === parent.name) : undefined;
  const result = test.result();
  const held = result.state === 'passed';
  // A test that says no reason has just not run, and nobody may take that for an answer.
  const notJudged = result.state === 'skipped' ? result.note : shortageOf(test);
  const error = result.errors?.[0];
  const frame = error?.stacks?.find(({ file }) => file === test.module.moduleId);
  return {
    number,
    tier: tier ?? ('core' satisfies Tier),
    text: test.name,
    held,
    notJudged,
    seen:
      held || notJudged !== undefined
        ? undefined
        : error
          ? plainMessage(error.message)
          : `the test was ${result.state}`,
    stack: error?.name === 'SubjectError' ? moduleFrames(error.stack ?? '') : undefined,
    printed: held ? undefined : test.meta().printed?.join('\n'),
    line: frame?.line,
    durationMs: test.diagnostic()?.duration ?? 0,
    charts: test.meta().charts ?? [],
    margins: test.meta().margins ?? [],
  };
}

/** What a system call says when the machine has run out of something. */
const shortageCodes = ['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM', 'ENOSPC', 'EDQUOT', 'EADDRNOTAVAIL', 'ENETUNREACH'];

/**
 * What the machine lacked when the judge itself needed it, if that ended this test: it tells nothing of the module. What the
 * module's own process lacks comes as a SubjectError, and is the module's affair.
 */
export function shortageOf(test: TestCase): string | undefined {
  const error = test.result().errors?.[0] as
    | { readonly name?: string; readonly message: string; readonly code?: unknown; readonly syscall?: unknown }
    | undefined;
  if (!error) return undefined;
  const [, why] = /^No process could be started for \S+: (spawn .*)$/.exec(error.message) ?? [];
  if (error.name === 'SubjectError' && why !== undefined) return `the machine could not start a process (${why})`;
  if (error.name !== 'Error' || typeof error.syscall !== 'string') return undefined;
  const code = shortageCodes.find((known) => known === error.code);
  return code === undefined
    ? undefined
    : `the machine ran short while the judge worked (${plainMessage(error.message)})`;
}

/** An assertion's message without what only a test's author reads. */
function plainMessage(message: string): string {
  return message.replace(/ \/\/ Object\.is equality$/, '').trim();
}

function moduleFrames(stack: string): string | undefined {
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line));
  return frames.length > 0 ? frames.join('\n') : undefined;
}
