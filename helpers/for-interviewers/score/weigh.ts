import { type Tier, tiers } from '../../foundations/catalogue/catalogue.ts';
import type { TierScore } from './score.ts';

// How a kata is scored, of 100:
//
//   score = what was gained - what was lost, and never below 0
//
// Gained: the promises that the starter breaks. Core weighs 60, robust 30, stretch 10. A tier without such a promise leaves
// its weight to the others in proportion. Within a tier these promises share its weight equally.
// Lost: the promises that the starter holds already are guards. A guard that is kept gives nothing. One that is not kept
// costs what a promise of its tier is worth when all promises of the kata are counted alike.
// So an untouched starter is worth 0 and a module that keeps everything is worth 100.
// What was not judged counts as not held, so that a score with gaps is a lower bound.

/** What a tier weighs in a kata that has all three. */
export const tierWeights: Readonly<Record<Tier, number>> = { core: 60, robust: 30, stretch: 10 };

interface Weighed {
  readonly tier: Tier;
  readonly held: boolean;
  readonly guard: boolean;
}

/** What each tier adds to this kata's score when all of it is held, of 100. */
export function weighTiers(promises: readonly Weighed[]): TierScore[] {
  const gains = shares(promises.filter((promise) => isGain(promise, promises)));
  return tiers
    .map((tier) => {
      const own = promises.filter((promise) => promise.tier === tier);
      return { tier, held: own.filter(({ held }) => held).length, of: own.length, weight: gains[tier] };
    })
    .filter(({ of }) => of > 0);
}

/** What one promise adds to the score when it is held; of a guard, what it takes away when it is not. */
export function promiseWeight(promises: readonly Weighed[], promise: Weighed): number {
  return round(exactWeight(promises, promise));
}

/** A kata's score, of 100. */
export function kataScore(promises: readonly Weighed[]): number {
  const sum = promises.reduce((total, promise) => {
    const weight = exactWeight(promises, promise);
    if (isGain(promise, promises)) return total + (promise.held ? weight : 0);
    return total - (promise.held ? 0 : weight);
  }, 0);
  return round(Math.max(0, sum));
}

/** The mean over the katas that were asked for. */
export function totalScore(scores: readonly number[]): number {
  return scores.length === 0 ? 0 : round(scores.reduce((sum, score) => sum + score, 0) / scores.length);
}

function exactWeight(promises: readonly Weighed[], promise: Weighed): number {
  const alike = isGain(promise, promises) ? promises.filter((one) => isGain(one, promises)) : promises;
  return shares(alike)[promise.tier] / alike.filter(({ tier }) => tier === promise.tier).length;
}

/** Where the starter holds everything, there is nothing but guards to gain. */
function isGain(promise: Weighed, promises: readonly Weighed[]): boolean {
  return !promise.guard || promises.every(({ guard }) => guard);
}

/** How the tiers that are present share 100 points. */
function shares(promises: readonly Weighed[]): Record<Tier, number> {
  const present = (tier: Tier) => promises.some((promise) => promise.tier === tier);
  const sum = tiers.filter(present).reduce((total, tier) => total + tierWeights[tier], 0);
  const share = (tier: Tier) => (present(tier) ? (100 * tierWeights[tier]) / sum : 0);
  return { core: share('core'), robust: share('robust'), stretch: share('stretch') };
}

/** To a hundredth, so that 100 is 100 and not 99.99999999999999. */
function round(value: number): number {
  return Math.round(value * 100) / 100;
}
