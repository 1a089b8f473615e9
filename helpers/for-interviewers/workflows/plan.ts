import { chooseKatas } from '../../foundations/catalogue/catalogue.ts';
import { UserError } from '../../foundations/command-line/user-error.ts';

/** Who is scored: a repository at one commit. */
interface Candidate {
  /** Of letters, digits, - and _; no other candidate of the run has it. */
  readonly name: string;
  /** As `npm run score` takes it: URL#commit. */
  readonly source: string;
  readonly sha: string;
}

/** What a run of the workflow does: each candidate's katas, one by one, and a report for each candidate. */
export interface Plan {
  readonly katas: readonly string[];
  readonly candidates: readonly Candidate[];
  readonly shards: readonly { readonly name: string; readonly source: string; readonly kata: string }[];
}

/** The workflow's inputs, as text; an empty one is none. */
export interface PlanInputs {
  readonly repository?: string | undefined;
  readonly sha?: string | undefined;
  /** A JSON list of `{ "repository": "owner/name", "sha": "…", "name": "…" }`; the name may be left out. */
  readonly candidates?: string | undefined;
  /** With commas between them. */
  readonly katas?: string | undefined;
  /** The number of an issue or a pull request to comment on. */
  readonly issue?: string | undefined;
}

/** GitHub runs no larger matrix. */
const mostShards = 256;

/**
 * Reads the inputs of the workflow `score.yml`.
 * @param server where the repositories are, as in `https://github.com`
 * @throws UserError when an input is not what it should be; nothing of it is passed on then
 */
export function planOf(inputs: PlanInputs, server: string): Plan {
  const { repository, sha, candidates: list, katas: names, issue } = inputs;
  if (Boolean(list) === Boolean(repository ?? sha))
    throw new UserError('Give either repository and sha, or candidates, a JSON list of both.');
  if (issue && !/^\d{1,9}$/.test(issue)) throw new UserError(`issue is ${shown(issue)}: give its number.`);
  const candidates = (list ? readList(list) : [{ repository, sha }]).map((entry) => readCandidate(entry, server));
  const twice = candidates.find(({ name }, index) => candidates.findIndex((one) => one.name === name) !== index);
  if (twice) throw new UserError(`Two candidates are called ${twice.name}: give each of them a "name" of its own.`);
  const katas = chooseKatas(
    (names ?? '')
      .split(',')
      .map((name) => name.trim())
      .filter(Boolean),
  );
  const shards = candidates.flatMap(({ name, source }) => katas.map((kata) => ({ name, source, kata })));
  if (shards.length > mostShards)
    throw new UserError(
      `${candidates.length} candidates with ${katas.length} katas each are ${shards.length} jobs; GitHub runs ${mostShards} at once. Give fewer.`,
    );
  return { katas, candidates, shards };
}

function readList(text: string): unknown[] {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    // Told below.
  }
  if (!Array.isArray(list) || list.length === 0)
    throw new UserError(
      'candidates is not a JSON list; expected, for example: [{"repository": "owner/name", "sha": "<40 hex digits>"}].',
    );
  return list;
}

function readCandidate(entry: unknown, server: string): Candidate {
  const { repository, sha, name } = Object(entry) as Record<string, unknown>;
  if (typeof repository !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9-]{0,38}\/[A-Za-z0-9._-]{1,100}$/.test(repository))
    throw new UserError(`A candidate's repository is ${shown(repository)}: write it as owner/name.`);
  // Nobody can change what a full SHA stands for once it has been looked at; a branch or a short one can become another.
  if (typeof sha !== 'string' || !/^[0-9a-f]{40}$/.test(sha))
    throw new UserError(`The sha of ${repository} is ${shown(sha)}: give the commit's 40 hexadecimal digits.`);
  const own = name ?? repository.split('/')[0];
  if (typeof own !== 'string' || !/^[A-Za-z0-9_-]{1,40}$/.test(own))
    throw new UserError(`A candidate's name is ${shown(own)}: use up to 40 letters, digits, - and _.`);
  return { name: own, source: `${server}/${repository}#${sha}`, sha };
}

function shown(value: unknown): string {
  return value === undefined ? 'missing' : JSON.stringify(value).slice(0, 100);
}
