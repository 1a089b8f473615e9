import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Command } from 'commander';
import { parseArguments } from '../../foundations/command-line/parse-arguments.ts';
import { runCommand } from '../../foundations/command-line/run-command.ts';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { missingIn } from './missing.ts';
import { templateOf } from './template.ts';
import { say } from '../../foundations/command-line/terminal.ts';

await runCommand(async () => {
  const command = new Command('npm run new-kata')
    .usage('<slug>')
    .description(
      'Makes the folders of a new kata from a template. For a kata that is there it lists what is still missing.',
    )
    .argument('<slug>', 'its name, such as rate-limiter')
    .addHelpText('after', '\nExit code: 0 nothing is missing, 1 something is, 2 bad input.');
  const [slug = '', ...others] = parseArguments(command).args;
  if (!/^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/.test(slug) || others.length > 0)
    throw new UserError(
      `"${[slug, ...others].join(' ')}" is not a valid kata name: use lowercase letters, digits and hyphens, as in rate-limiter.`,
    );

  if (!existsSync(join(repositoryRoot, 'katas', slug)))
    for (const [file, text] of Object.entries(templateOf(slug))) {
      await mkdir(dirname(join(repositoryRoot, file)), { recursive: true });
      await writeFile(join(repositoryRoot, file), text, { flag: 'wx' });
      say(`made     ${file}`);
    }
  const missing = missingIn(slug);
  for (const line of missing) say(`missing  ${line}`);
  return missing.length === 0 ? 0 : 1;
});
