import { type Tier, tiers } from '../../foundations/catalogue/catalogue.ts';
import type { TierScore } from './score.ts';

/** What a tier weighs in a kata that has all three. */
export const tierWeights: Readonly<Record<Tier, number>> = { core: 60, robust: 30, stretch: 10 };

interface Weighed {
  readonly tier: Tier;
  readonly held: boolean;
}

/** What each tier weighs in this kata, of 100: a tier that it lacks leaves its weight to the others, in proportion. */
export function weighTiers(promises: readonly Weighed[]): TierScore[] {
  const present = tiers.filter((tier) => promises.some((promise) => promise.tier === tier));
  const sum = present.reduce((total, tier) => total + tierWeights[tier], 0);
  return present.map((tier) => {
    const own = promises.filter((promise) => promise.tier === tier);
    return {
      tier,
      held: own.filter(({ held }) => held).length,
      of: own.length,
      weight: (100 * tierWeights[tier]) / sum,
    };
  });
}

/** What one promise of a tier adds to the score; the promises of a tier share its weight. */
export function promiseWeight(tierScores: readonly TierScore[], tier: Tier): number {
  const own = tierScores.find((score) => score.tier === tier);
  return own ? round(own.weight / own.of) : 0;
}

/** A kata's score, of 100. */
export function kataScore(tierScores: readonly TierScore[]): number {
  return round(tierScores.reduce((sum, { held, of, weight }) => sum + (weight * held) / of, 0));
}

/** The mean over the katas that were asked for. */
export function totalScore(scores: readonly number[]): number {
  return scores.length === 0 ? 0 : round(scores.reduce((sum, score) => sum + score, 0) / scores.length);
}

/** To a hundredth, so that 100 is 100 and not 99.99999999999999. */
function round(value: number): number {
  return Math.round(value * 100) / 100;
}
