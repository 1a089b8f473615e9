import type { Sandbox } from '../../judging/subject/sandbox.ts';
import type { KataScore, Score } from './score.ts';

const heldBy: Record<Sandbox, string> = {
  'permission-model': 'Node’s permission model',
  docker: 'a container and Node’s permission model',
};

/** A score as a reader wants it: `100`, `46.7`. */
export function shownScore(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** `core 1 of 2, robust 4 of 4` */
export function tierWords({ tiers }: KataScore): string {
  return tiers.map(({ tier, held, of }) => `${tier} ${held} of ${of}`).join(', ');
}

/** With what a kata was judged, in one line. */
export function judgedWithWords({ judgedWith: { node, platform, mysql, sandbox, durationMs } }: KataScore): string {
  const database = mysql
    ? `${mysql.flavour === 'mysql' ? 'MySQL' : 'MariaDB'} ${mysql.version} from ${mysql.source}`
    : 'no MySQL';
  return `Node ${node.replace(/^v/, '')} on ${platform}, ${database}, held by: ${heldBy[sandbox]}, ${(durationMs / 1000).toFixed(1)} s`;
}

/** Which catalogue judged, in one line. */
export function catalogueWords({ catalogue: { version, commit, hash } }: Score): string {
  return `${version}${commit === null ? '' : `, commit ${commit.slice(0, 12)}`}, content ${hash.slice(0, 12)}`;
}

/** Whose score it is, in one line. */
export function candidateWords({ candidate: { source, kind, commit } }: Score): string {
  return `${source} (${kind}${commit === null ? '' : `, commit ${commit.slice(0, 12)}`})`;
}
