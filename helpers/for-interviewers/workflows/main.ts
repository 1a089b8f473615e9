import { resolve } from 'node:path';
import { setOutput } from '@actions/core';
import { Command } from 'commander';
import { parseArguments } from '../../foundations/command-line/parse-arguments.ts';
import { runCommand } from '../../foundations/command-line/run-command.ts';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { planOf } from './plan.ts';
import { publish } from './publish.ts';

await runCommand(async () => {
  const command = new Command('npm run workflow')
    .usage('-- plan | publish <folder>')
    .description(
      'The trusted steps of the workflow score.yml. They take what they are told from the environment:\n' +
        '  plan     REPOSITORY and SHA, or CANDIDATES; KATAS; ISSUE. Sets the outputs katas, candidates, shards.\n' +
        '  publish  NAME, SHA, KATAS. Shows the merged score in <folder> on the page of the run.',
    )
    .argument('<step>', 'plan or publish')
    .argument('[folder]', 'where the merged score is')
    .addHelpText('after', '\nExit code: 0 done, 1 the score is not whole, 2 an input is not what it should be.');
  const [step, folder] = parseArguments(command).args;
  const { REPOSITORY, SHA, CANDIDATES, KATAS, ISSUE, NAME } = process.env;

  if (step === 'plan' && folder === undefined) {
    const inputs = {
      repository: REPOSITORY || undefined,
      sha: SHA || undefined,
      candidates: CANDIDATES,
      katas: KATAS,
      issue: ISSUE,
    };
    const plan = planOf(inputs, process.env.GITHUB_SERVER_URL ?? 'https://github.com');
    for (const [name, value] of Object.entries(plan)) setOutput(name, value);
    return 0;
  }
  if (step === 'publish' && folder !== undefined) {
    if (!NAME || !SHA || !KATAS)
      throw new UserError('publish wants NAME, SHA and KATAS, a JSON list, in the environment.');
    const isWhole = await publish(resolve(folder), { name: NAME, sha: SHA, katas: JSON.parse(KATAS) as string[] });
    return isWhole ? 0 : 1;
  }
  throw new UserError('Say either "npm run workflow -- plan" or "npm run workflow -- publish <folder>".');
});
