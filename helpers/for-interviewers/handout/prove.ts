import { copyFile, mkdir, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Command } from 'commander';
import { type Kata, kataSlugs, readKata } from '../../foundations/catalogue/catalogue.ts';
import { parseArguments } from '../../foundations/command-line/parse-arguments.ts';
import { runCommand } from '../../foundations/command-line/run-command.ts';
import { git, headCommit } from '../../foundations/git/git.ts';
import { leashedFolder } from '../../foundations/processes/leashed-folder.ts';
import { cacheFolder } from '../../mysql-server/cache-folder.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { checkOutCatalogue } from './check-out-catalogue.ts';
import { Claims } from './claims.ts';
import { historyOf, fingerprints, leaksIn } from './fingerprints.ts';
import { makeHandout } from './make-handout.ts';
import { type Ended, NpmRun } from './npm-run.ts';
import { say } from '../../foundations/command-line/terminal.ts';

/** The quickest of those that need a database. */
const watchedKata = 'race-condition';

await runCommand(async () => {
  const command = new Command('npm run handout:prove')
    .description(
      'Makes a hand-out of every kata, installs it as a candidate would, with nothing of this clone in reach, and goes through it from red to green. It takes as long as `npm ci` and a board of all katas.',
    )
    .addHelpText('after', '\nExit code: 0 proved, 1 something does not hold.');
  parseArguments(command);

  // The real path: a kata's process may read no other.
  await using place = await leashedFolder(await realpath(tmpdir()), 'kata-prove-');
  const [folder, catalogue, home] = ['handout', 'catalogue', 'home'].map((name) => join(place.path, name)) as [
    string,
    string,
    string,
  ];
  await mkdir(home);
  const env = await bareEnvironment(home);
  const npm = (...args: string[]) => run(folder, env, args);
  const claims = new Claims();

  const startedAt = performance.now();
  await makeHandout({ katas: kataSlugs(), out: folder, candidate: 'Nobody' });
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  await checkOutCatalogue(repositoryRoot, await headCommit(repositoryRoot), catalogue);
  const katas = kataSlugs(folder).map((slug) => readKata(slug, folder));
  say(`made in ${seconds} s: ${katas.map(({ slug }) => slug).join(', ')}`);

  const known = await fingerprints(catalogue);
  const faceless = known.filter(({ lines }) => lines.length === 0).map(({ file }) => file);
  claims.hold('every file that is kept back can be told by a line of its own', faceless.length === 0, faceless);
  const leaks = leaksIn(await historyOf(folder), known);
  claims.hold(`no line of ${known.length} files that are kept back stands in any object`, leaks.length === 0, leaks);

  claims.ended('npm ci', await npm('ci', '--no-audit', '--no-fund'), 0);
  claims.ended('npm run doctor', await npm('run', 'doctor'), 0);
  // What a kata needs decides how it is run; the starters of all katas are judged by `npm run verify`.
  const begun = [...Map.groupBy(katas, ({ needs }) => needs.join()).values()].flatMap(([first]) => first ?? []);
  const red = await npm('test', ...begun.map(({ slug }) => slug));
  claims.ended('npm test, with the starters', red, 1);
  for (const kata of begun) {
    const seen = brokenPromises(red.output, kata);
    const told = kata.starterBreaks.join();
    claims.hold(`the starter of ${kata.slug} breaks ${told}`, seen === told, [`broken on the board: ${seen}`]);
  }
  claims.ended('npm test -- --solution', await npm('test', '--', '--solution'), 2);
  const one = katas.filter(({ slug }) => slug === watchedKata);
  const watched = await watchWhile(folder, env, () => putSolutions(one, catalogue, folder));
  claims.hold('npm run watch is green after the save', isGreen(watched, one), [watched.slice(-2000)]);
  await putSolutions(katas, catalogue, folder);
  const green = await npm('test');
  claims.ended('npm test, with the solutions', green, 0);
  claims.hold('all promises hold', isGreen(green.output, katas), [whatWasSeen(green.output)]);
  for (const { slug, needs } of katas.filter((kata) => kata.needs.includes('mysql'))) {
    const shell = await run(folder, env, ['run', '--silent', 'mysql', slug], 'SELECT 40 + 2;\n');
    claims.hold(`npm run mysql ${slug} answers (${needs.join()})`, shell.output.includes('42'), [shell.output]);
  }
  await git(folder, ['checkout', '--', '.']);
  const rest = await git(folder, ['status', '--porcelain']);
  claims.hold('nothing that git would take lies about', rest === '', [rest]);

  say(`\n${claims.passed} passed, ${claims.failed} failed`);
  return claims.failed === 0 ? 0 : 1;
});

/** The user's environment without this clone's programs, without npm's settings, and with an empty home. */
async function bareEnvironment(home: string): Promise<NodeJS.ProcessEnv> {
  const own = Object.entries(process.env).filter(([name]) => !/^(?:npm_|XDG_|GIT_|INIT_CWD|NODE)/i.test(name));
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'));
  const env = { ...Object.fromEntries(own), PATH: path.join(delimiter) };
  const setting = async (name: string) =>
    (await run(tmpdir(), env, ['config', 'get', name, '--loglevel=silent'])).output.trim();
  const [registry, cache] = await Promise.all([setting('registry'), setting('cache')]);
  return {
    ...env,
    HOME: home,
    USERPROFILE: home,
    // Not fetched again: the packages of npm and of MySQL.
    KATA_CACHE: cacheFolder(),
    npm_config_cache: cache,
    npm_config_registry: registry,
  };
}

async function run(folder: string, env: NodeJS.ProcessEnv, args: readonly string[], input = ''): Promise<Ended> {
  using child = new NpmRun(folder, env, args);
  child.end(input);
  return await child.ended;
}

/** Starts the watch, does `change` when the first board is there, and comes back with all output after the second. */
async function watchWhile(folder: string, env: NodeJS.ProcessEnv, change: () => Promise<void>): Promise<string> {
  using child = new NpmRun(folder, env, ['run', 'watch', watchedKata]);
  await child.said(/Waiting for a save/);
  const before = child.output.length;
  await change();
  await child.said(/promises hold in/, before);
  return child.output.slice(before);
}

async function putSolutions(katas: readonly Kata[], catalogue: string, folder: string): Promise<void> {
  for (const { slug } of katas)
    await copyFile(join(catalogue, 'solutions', slug, `${slug}.ts`), join(folder, 'katas', slug, `${slug}.ts`));
}

/** The numbers that the board shows as broken for a kata, with commas between them. */
function brokenPromises(board: string, { slug }: Kata): string {
  const [, own = ''] = new RegExp(`^${slug} +\\d+ of \\d+ promises hold$([^]*?)^\\S`, 'm').exec(board) ?? [];
  return [...own.matchAll(/✗ +(\d+)/g)].map(([, number]) => number).join();
}

function isGreen(output: string, katas: readonly Kata[]): boolean {
  return katas.every(({ slug, promises: { length } }) =>
    new RegExp(`^${slug} +${length} of ${length} promises hold$`, 'm').test(output),
  );
}

/** What a run says of its first broken promise; its end when no promise is broken. */
function whatWasSeen(output: string): string {
  const from = output.indexOf('The first broken promise');
  return from === -1 ? output.slice(-2000) : output.slice(Math.max(0, from - 500), from + 2000);
}
