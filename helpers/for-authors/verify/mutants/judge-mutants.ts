import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTwoFilesPatch, OMIT_HEADERS } from 'diff';
import { repositoryRoot } from '../../../foundations/catalogue/target.ts';
import { leashedFolder } from '../../../foundations/processes/leashed-folder.ts';
import { judge } from '../../../judging/run/judge.ts';
import type { Verdict } from '../../../judging/verdict/verdict.ts';
import { startServers } from '../judge-claims.ts';
import { equivalentItem, mutantsFile, readEquivalents } from './equivalent.ts';
import { type Mutant, mutantsOf, sample } from './mutate.ts';
import { note, say } from '../../../foundations/command-line/terminal.ts';

/** A mutant that hangs need not be waited for as long as a slow machine: so much longer than the reference, and so much at least. */
const [timesLonger, leastLimitMs] = [4, 15_000];

/**
 * Judges mutants of the kata's reference, each until its first broken promise, and prints those that no promise noticed.
 * @param limit how many mutants, evenly spread; Infinity is all
 * @returns the exit code: 0 when each survivor is on the list of equivalent ones, 1 otherwise
 */
export async function judgeMutants(slug: string, limit: number): Promise<number> {
  const file = `solutions/${slug}/${slug}.ts`;
  const reference = readFileSync(join(repositoryRoot, file), 'utf8');
  const all = mutantsOf(reference, file);
  const listed = readEquivalents(slug);
  const isListed = (mutant: Mutant) =>
    listed.some(({ before, after }) => mutant.before === before && mutant.after === after);
  const chosen = sample(all, limit);
  await using lanes = await startServers([slug], false);
  const servers = lanes.servers.map(({ host, port, user, password }) => ({ host, port, user, password }));

  const [right] = await verdictsOf([{ slug, name: 'solution', target: 'solutions' }], servers, { workers: 1 });
  const broken = right?.promises.find(({ held, notJudged }) => !held && notJudged === undefined);
  if (!right || right.trouble !== undefined || broken) {
    say(`${file} itself is not judged as correct: ${right?.trouble ?? broken?.seen ?? 'no verdict'}`);
    return 1;
  }
  const longestMs = Math.max(...right.promises.map(({ durationMs }) => durationMs));
  await using folder = await leashedFolder(tmpdir(), 'kata-mutants-');
  const judged = await Promise.all(
    chosen.map(async (mutant, index) => {
      const target = join(folder.path, `${index + 1}.ts`);
      await writeFile(target, mutant.text);
      return { slug, name: `mutant ${index + 1}`, target };
    }),
  );
  const verdicts = await verdictsOf(judged, servers, {
    workers: lanes.workers,
    promiseLimitMs: Math.max(leastLimitMs, timesLonger * longestMs),
    setupFiles: ['helpers/for-authors/verify/mutants/stop-at-first.ts'],
  });
  const survived = chosen.filter((_, index) => survives(verdicts[index]));
  const unknown = survived.filter((mutant) => !isListed(mutant));
  for (const mutant of unknown) say(`\n${textOf(mutant, reference, file)}`);
  const outdated = listed.filter(
    ({ before, after }) => !all.some((mutant) => mutant.before === before && mutant.after === after),
  );
  for (const { before, after } of outdated)
    say(`\n${mutantsFile(slug)} lists ${before} → ${after}, which is no longer a mutant of ${file}.`);
  say(
    `\n${slug}: ${chosen.length} of ${all.length} mutants judged, ${chosen.length - survived.length} found, ${survived.length - unknown.length} known as equivalent, ${unknown.length} survived.`,
  );
  return unknown.length + outdated.length === 0 ? 0 : 1;
}

async function verdictsOf(
  submissions: readonly { slug: string; name: string; target: string }[],
  servers: Parameters<typeof judge>[1],
  options: Parameters<typeof judge>[3],
): Promise<(Verdict | undefined)[]> {
  const verdicts = new Map<unknown, Verdict>();
  await judge(
    submissions,
    servers,
    (submission, verdict) => {
      verdicts.set(submission, verdict);
      if (verdicts.size % 10 === 0) note(`${verdicts.size} of ${submissions.length} judged`);
    },
    options,
  );
  return submissions.map((submission) => verdicts.get(submission));
}

/** A judge that could not run on a mutant has not let it pass. */
function survives(verdict: Verdict | undefined): boolean {
  return (
    verdict !== undefined &&
    verdict.trouble === undefined &&
    verdict.promises.every(({ held, notJudged }) => held || notJudged !== undefined)
  );
}

function textOf(mutant: Mutant, reference: string, file: string): string {
  const diff = createTwoFilesPatch(file, file, reference, mutant.text, '', '', {
    context: 1,
    headerOptions: OMIT_HEADERS,
  });
  return `${file}:${mutant.line}, ${mutant.operator}\n${diff}If it is equivalent: ${equivalentItem(mutant)}`;
}
