import { Command } from 'commander';
import { chooseKatas } from '../../foundations/catalogue/catalogue.ts';
import { namesOf } from '../../foundations/catalogue/submissions.ts';
import { parseArguments } from '../../foundations/command-line/parse-arguments.ts';
import { runCommand } from '../../foundations/command-line/run-command.ts';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { lintFullTexts } from './lint-full-texts.ts';
import { type Saved, openSubmission, saveAll, saveSubmission } from './fold.ts';
import { say } from '../../foundations/command-line/terminal.ts';

const usage = 'npm run submission -- open|save <kata>/<name>, or open|save|check --all [kata...]';

const everyOne = {
  open(slug: string): void {
    for (const name of namesOf(slug, 'rejected', 'patch')) say(openSubmission(slug, name));
  },
  save(slug: string): void {
    const saved = saveAll(slug);
    const sum = (of: 'linesBefore' | 'linesAfter') => saved.reduce((total, one) => total + one[of], 0);
    const whole = saved.filter(({ base }) => base === undefined);
    if (saved.length > whole.length)
      say(`${slug}: ${saved.length} submissions, ${sum('linesBefore')} lines before, ${sum('linesAfter')} after.`);
    if (whole.length > 0) say(`${slug}: ${whole.length} stay whole: ${whole.map(({ name }) => name).join(', ')}.`);
  },
};

await runCommand(async () => {
  const command = new Command('npm run submission')
    .usage('-- open|save <kata>/<name>, or open|save|check --all [kata...]')
    .description(
      'A wrong answer is stored as a patch: its mistake, as a diff against a correct answer.\n\n' +
        '  open   replace the patch by its full text, tests/<kata>/submissions/rejected/<name>.ts, for editing\n' +
        '  save   fold the full text back into a patch against the nearest answer; a text that shares less than half of its\n' +
        '         lines with every other stays whole\n' +
        '  check  write the full texts of all patches below .submissions, for the type checker and for reading; lint them',
    )
    .argument('<act>', 'open, save or check')
    .argument('[name...]', 'one submission, for example race-condition/close-does-nothing; with --all, katas')
    .option('--all', 'all submissions of these katas; of all katas without a name', false)
    .addHelpText('after', '\nExit code: 0 done, 1 a full text has a lint or format error, 2 it could not be done.');
  const { args, options } = parseArguments<{ all: boolean }>(command);
  const [act, ...names] = args;
  if (act !== 'open' && act !== 'save' && act !== 'check')
    throw new UserError(`unknown action "${act}"; usage: ${usage}.`);

  if (options.all || act === 'check') {
    const slugs = chooseKatas(names);
    if (act === 'check') return lintFullTexts(slugs);
    for (const slug of slugs) everyOne[act](slug);
    return 0;
  }
  const [name, tooMany] = names;
  const [, kata, own] = /^([^/]+)\/(?:rejected\/)?([^/]+?)(?:\.ts|\.patch)?$/.exec(name ?? '') ?? [];
  if (kata === undefined || own === undefined || tooMany !== undefined)
    throw new UserError(`Name one submission as <kata>/<name>; usage: ${usage}.`);
  const [slug = kata] = chooseKatas([kata]);
  if (act === 'open') say(openSubmission(slug, own));
  else sayOne(slug, saveSubmission(slug, own));
  return 0;
});

function sayOne(slug: string, { name, base, linesBefore, linesAfter }: Saved): void {
  if (base === undefined)
    say(`${slug}/${name} stays whole: no other answer shares half of its lines, or it is a base.`);
  else say(`${slug}/${name}: ${linesBefore} lines became a patch of ${linesAfter}, against ${base}.`);
}
