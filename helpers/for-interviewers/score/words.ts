import type { Sandbox } from '../../judging/subject/sandbox.ts';
import type { KataScore, PromiseScore, Score } from './score.ts';

const heldBy: Record<Sandbox, string> = {
  'permission-model': 'Node’s permission model',
  docker: 'a container and Node’s permission model',
};

/** A score as a reader wants it: `100`, `46.7`. */
export function shownScore(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** A score as a sentence begins with it: `46.7`, and `at least 46.7` when something was not judged. */
export function boundedScore(value: number, katas: readonly KataScore[]): string {
  const hasGaps = katas.some(({ promises }) => promises.some(({ judged }) => !judged));
  return `${hasGaps ? 'at least ' : ''}${shownScore(value)}`;
}

/** What a promise adds or takes away: `core 30`, `guard −5`. */
export function weightWords({ tier, guard, weight }: PromiseScore): string {
  return guard ? `${tier} guard −${shownScore(weight)}` : `${tier} ${shownScore(weight)}`;
}

/** How it is scored, in two sentences. */
export function formulaWords({ weights: { core, robust, stretch } }: Score): string {
  return `The promises that the starter breaks share 100 points: core ${core}, robust ${robust}, stretch ${stretch}. A promise that the starter already holds is a guard: it gives nothing, and costs its weight when it is lost. The total is the mean over the katas.`;
}

/** `core 1 of 2, robust 4 of 4` */
export function tierWords({ tiers }: KataScore): string {
  return tiers.map(({ tier, held, of }) => `${tier} ${held} of ${of}`).join(', ');
}

/** With what a kata was judged, in one line. */
export function judgedWithWords({
  judgedWith: { node, platform, mysql, sandbox, seed, durationMs },
}: KataScore): string {
  const database = mysql
    ? `${mysql.flavour === 'mysql' ? 'MySQL' : 'MariaDB'} ${mysql.version} from ${mysql.source}`
    : 'no MySQL';
  return `Node ${node.replace(/^v/, '')} on ${platform}, ${database}, held by: ${heldBy[sandbox]}, --seed ${seed}, ${(durationMs / 1000).toFixed(1)} s`;
}

/** Which catalogue judged, in one line. */
export function catalogueWords({ catalogue: { version, commit, hash } }: Score): string {
  return `${version}${commit === null ? '' : `, commit ${commit.slice(0, 12)}`}, content ${hash.slice(0, 12)}`;
}

/** Whose score it is, in one line. */
export function candidateWords({ candidate: { source, kind, commit } }: Score): string {
  return `${source} (${kind}${commit === null ? '' : `, commit ${commit.slice(0, 12)}`})`;
}
