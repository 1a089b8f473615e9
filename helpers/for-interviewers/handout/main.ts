import { resolve } from 'node:path';
import { Command } from 'commander';
import { parseArguments } from '../../foundations/command-line/parse-arguments.ts';
import { runCommand } from '../../foundations/command-line/run-command.ts';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { makeHandout } from './make-handout.ts';
import { say } from '../../foundations/command-line/terminal.ts';

await runCommand(async () => {
  const command = new Command('npm run handout')
    .usage('-- --katas a,b --out DIR [--candidate NAME]')
    .description(
      'Makes a git repository of its own for one candidate: the chosen katas, their judges, what these need, and no answer in\nits files or its history. What is not committed in this clone is not handed out.',
    )
    .requiredOption('--katas <a,b>', 'names of katas, with commas between them')
    .requiredOption('--out <folder>', 'the folder to make; one that is there must be empty')
    .option('--candidate <name>', 'to whom it goes; its README says so')
    .addHelpText('after', '\nExit code: 0 made, 2 not made, and nothing left behind.');
  const { args, options } = parseArguments<{ katas: string; out: string; candidate?: string }>(command);
  if (args.length > 0)
    throw new UserError(`unexpected argument "${args[0]}": name katas with --katas, separated by commas.`);

  const katas = options.katas.split(',').map((name) => name.trim());
  // npm changes into the clone's folder; a path is meant as the user's own shell would take it.
  const out = resolve(process.env.INIT_CWD ?? '.', options.out);
  const { catalogue, katas: slugs } = await makeHandout({ katas, out, candidate: nameOf(options.candidate) });
  const made = `${slugs.join(', ')} of version ${catalogue.version}, commit ${catalogue.commit.slice(0, 12)}`;
  say(`${out}\n${made}; one commit, no answers in it.`);
  say(`What comes back is scored by: npm run score -- <what came back> --katas ${slugs.join(',')}`);
  return 0;
});

function nameOf(candidate: string | undefined): string | undefined {
  if (candidate === undefined) return undefined;
  if (!/^[\p{L}\p{M}\p{N} .,'’_@()-]{1,80}$/u.test(candidate))
    throw new UserError("--candidate is a name of up to 80 letters, digits, spaces and . , ' ’ _ @ ( ) -");
  return candidate;
}
