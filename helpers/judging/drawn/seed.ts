import { settings } from '../../foundations/settings.ts';
import { UserError } from '../../foundations/command-line/user-error.ts';

/** Where nobody says otherwise, every run draws the same examples. */
const usualSeed = 20_260;

/**
 * The seed of everything that this run draws: `KATA_SEED`, by default always the same.
 * @throws UserError when it is not a whole number of 32 bits
 */
export function chosenSeed(): number {
  const { seed } = settings();
  return seed === undefined ? usualSeed : readSeed(seed);
}

/**
 * A seed that somebody wrote; `name` is where.
 * @throws UserError when it is not a whole number of 32 bits
 */
export function readSeed(word: string, name = 'KATA_SEED'): number {
  const seed = Number(word);
  if (!/^-?\d+$/.test(word) || (seed | 0) !== seed)
    throw new UserError(`${name} is "${word}"; expected a whole number from -2147483648 to 2147483647.`);
  return seed;
}
