import { settings } from '../../foundations/settings.ts';
import type { Subject } from '../../judging/subject/subject.ts';
import { type HoldersOptions, holdersAfter, holdersText } from './holders.ts';

/**
 * Explains broken promises of one judge. It takes seconds, so only the first one is explained, unless `KATA_EXPLAIN` is `all` or `none`.
 */
export class Explained {
  readonly #className: string;
  #given = 0;

  /** @param className the class from which paths to what is held begin */
  constructor(className: string) {
    this.#className = className;
  }

  /**
   * When something is kept, does once more what left it (`'there'`: looks at what is there), and says who holds it: the beginning of a
   * message, empty when there is nothing to say. Never throws.
   */
  async holders(
    subject: Pick<Subject<never>, 'probe'>,
    isKept: boolean,
    again: Parameters<typeof holdersAfter>[2],
    options?: HoldersOptions,
  ): Promise<string> {
    const { explain } = settings();
    if (!isKept || explain === 'none' || (explain === 'first' && this.#given > 0)) return '';
    this.#given++;
    try {
      const holders = await holdersAfter(subject, this.#className, again, options);
      return holders.length === 0 ? '' : `held, as memlab finds it:\n${holdersText(holders)}\n`;
    } catch (error) {
      // An explanation that fails must not take the place of the verdict.
      return `(who holds it could not be told: ${String(error)})\n`;
    }
  }
}
