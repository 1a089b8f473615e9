import type { Reporter, TestModule, Vitest } from 'vitest/node';
import { type Settings, settings } from '../../foundations/settings.ts';
import { harmless } from '../../foundations/sanitizing/harmless.ts';
import { shortPath, targetFile } from '../../foundations/catalogue/target.ts';
import { verdictOf } from './verdict.ts';
import { board } from './board.ts';
import { note, showProgress, wantsColor } from '../../foundations/command-line/terminal.ts';

/** Vitest's reporter for a candidate: a progress line while the tests run, then the board; no wall of stack traces. */
export default class BoardReporter implements Reporter {
  #startedAt = 0;
  #vitest: Vitest | undefined;
  /** One for each kata that is being judged; see `Settings.limitSeconds`. */
  readonly #timers = new Map<string, NodeJS.Timeout>();

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
  }

  onTestRunStart(): void {
    this.#startedAt = performance.now();
  }

  onTestModuleStart(module: TestModule): void {
    const { limitSeconds: seconds } = this.#settings;
    if (seconds === undefined) return;
    const { slug } = verdictOf(module);
    const late = () => {
      this.#clear();
      note(
        `${slug} was not judged to its end within ${seconds} s. Try one promise (npm test ${slug} -- --promise 1), or give more time with --limit.`,
      );
      // What was started is on a leash, and goes with this process.
      process.exit(2);
    };
    this.#timers.set(module.moduleId, setTimeout(late, seconds * 1000));
  }

  onTestModuleEnd(module: TestModule): void {
    clearTimeout(this.#timers.get(module.moduleId));
  }

  onTestModuleCollected(): void {
    this.#progress();
  }

  onTestCaseResult(): void {
    this.#progress();
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly { readonly message?: string }[]): void {
    this.#clear();
    const { promises: asked, explain, target } = this.#settings;
    const verdicts = modules
      .map(verdictOf)
      .map((verdict) => ({
        ...verdict,
        promises: verdict.promises.filter(({ number }) => asked?.includes(number) !== false),
      }))
      .sort((one, other) => one.slug.localeCompare(other.slug));
    for (const verdict of verdicts) {
      this.#say(
        `\n${board(verdict, verdict, { isColored: wantsColor(), file: shortPath(targetFile(verdict.slug, target)), explainsAll: explain === 'all' })}\n`,
      );
    }
    for (const { message } of errors) this.#say(`\nThe run itself met an error: ${harmless(message ?? '')}\n`);

    const promises = verdicts.flatMap((verdict) => verdict.promises);
    const held = promises.filter((promise) => promise.held).length;
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(1);
    const katas = verdicts.length === 1 ? '1 kata' : `${verdicts.length} katas`;
    const notJudged = promises.filter((promise) => promise.notJudged !== undefined).length;
    const rest = notJudged === 0 ? '' : `, ${notJudged} not judged here`;
    this.#say(`\n${held} of ${promises.length} promises hold in ${katas}${rest} (${seconds} s)\n`);
  }

  /** Those of the command that runs the judges. */
  get #settings(): Settings {
    return this.#vitest?.getRootProject().getProvidedContext().settings ?? settings();
  }

  #progress(): void {
    if (!process.stderr.isTTY) return;
    const tests = this.#vitest?.state.getTestModules().flatMap((module) => [...module.children.allTests()]) ?? [];
    const done = tests.filter((test) => test.result().state !== 'pending').length;
    showProgress(`judging: ${done} of ${tests.length} promises`);
  }

  #clear(): void {
    showProgress('');
  }

  #say(text: string): void {
    process.stdout.write(text);
  }
}
