import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { error, notice, summary } from '@actions/core';
import { UserError } from '../../foundations/command-line/user-error.ts';

/** The fields that are read from a score.json. `npm run score -- --merge` has checked it against its schema and rewritten it. */
interface MergedScore {
  readonly total: number;
  readonly candidate: { readonly commit: string | null };
  readonly katas: readonly {
    readonly slug: string;
    readonly score: number;
    readonly stoppedBy: 'limit' | 'judge' | null;
    readonly diagnosis: { readonly sentence: string };
  }[];
}

export interface PublishOptions {
  /** Who was scored. */
  readonly name: string;
  /** The commit that was to be scored. */
  readonly sha: string;
  /** The katas that were to be scored. */
  readonly katas: readonly string[];
}

/**
 * Shows a merged score on the page of a workflow's run: the summary, and an annotation for each kata.
 * @param folder where score.json and score.md are
 * @returns whether it is the whole score of the commit that was asked for
 * @throws UserError when there is no score in the folder
 */
export async function publish(folder: string, { name, sha, katas }: PublishOptions): Promise<boolean> {
  const [json, markdown] = [join(folder, 'score.json'), join(folder, 'score.md')];
  if (!existsSync(json) || !existsSync(markdown))
    throw new UserError(
      `There is no score.json and score.md in ${folder}: merge the parts of the score into it first.`,
    );
  const score = JSON.parse(readFileSync(json, 'utf8')) as MergedScore;
  const faults = katas
    .filter((slug) => !score.katas.some((kata) => kata.slug === slug))
    .map((slug) => `${slug} was not scored; its job says why. The total leaves it out.`);
  for (const { slug, stoppedBy } of score.katas)
    if (stoppedBy === 'limit' || stoppedBy === 'judge')
      faults.push(
        stoppedBy === 'limit'
          ? `${slug} was not judged to its end, for a limit was met. Its score is a lower bound.`
          : `The judge could not run to its end for ${slug}. Its score is a lower bound.`,
      );
  if (score.candidate.commit !== sha)
    faults.unshift(`This is the score of commit ${score.candidate.commit}; ${sha} was to be scored.`);

  for (const fault of faults) error(fault, { title: `${name}: no whole score` });
  for (const { slug, score: own, diagnosis } of score.katas)
    notice(diagnosis.sentence, { title: `${name}: ${slug} ${rounded(own)} of 100` });
  if (process.env.GITHUB_STEP_SUMMARY) {
    // A blank line, or Markdown takes what follows for a part of the heading's HTML.
    summary.addHeading(name, 1).addEOL();
    for (const fault of faults) summary.addRaw(`- ${fault}`, true);
    if (faults.length > 0) summary.addEOL();
    await summary.addRaw(readFileSync(markdown, 'utf8'), true).write();
  }
  return faults.length === 0;
}

function rounded(score: number): string {
  return String(Math.round(score * 10) / 10);
}
