import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Command } from 'commander';
import { chooseKatas, kataSlugs, readKata } from '../../foundations/catalogue/catalogue.ts';
import { parseArguments } from '../../foundations/command-line/parse-arguments.ts';
import { runCommand } from '../../foundations/command-line/run-command.ts';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { takeSnapshot } from '../../instruments/heap/holders.ts';
import { startModule } from '../../judging/subject/subject.ts';
import { repositoryRoot, shortPath, targetFile } from '../../foundations/catalogue/target.ts';
import { LiveView } from './live-view.ts';
import type { Observe } from './observation.ts';
import { ObservedProcess } from './observed-process.ts';
import { runScript } from './run-script.ts';

/** As long as a person may stand at a breakpoint: the longest that a timer takes. */
const aDayOrTwoMs = 2 ** 31 - 1;

interface Options {
  readonly solution?: boolean;
  readonly file?: string;
  readonly inspect?: boolean;
}

await runCommand(async () => {
  const command = new Command('npm run observe')
    .usage('<kata> [-- options]')
    .description(
      'Watches a kata’s process at work: its memory, its timers, and what the kata counts, with keys to do things to it.\nWithout a terminal it runs a short script of the same steps and prints a table.',
    )
    .argument('[kata]', `one of: ${observable().join(', ')}`)
    .option('--file <path>', 'watch this module file instead of katas/')
    .option('--inspect', 'let a debugger attach to the process (Chrome DevTools, your editor)')
    .addHelpText('after', '\nExample: npm run observe memory-leak -- --inspect');
  // A candidate's repository has none.
  if (existsSync(join(repositoryRoot, 'solutions')))
    command.option('--solution', 'watch the reference solution instead of katas/');
  const { args, options } = parseArguments<Options>(command);
  const slug = chooseKata(args);
  const file =
    options.file === undefined ? targetFile(slug, options.solution ? 'solutions' : 'katas') : existing(options.file);
  const { observe } = (await import(pathToFileURL(observeFile(slug)).href)) as { observe: Observe };

  await using watched = await ObservedProcess.start(async () => {
    const subject = await startModule<never, never>(file, {
      needs: readKata(slug).needs,
      ...(existsSync(insideFile(slug)) && { insideFile: insideFile(slug) }),
      limitMs: options.inspect ? aDayOrTwoMs : 60_000,
      inspect: options.inspect ?? false,
    });
    return { subject, observed: await observe(subject) };
  });
  const title = `${slug}  ${shortPath(file)}`;
  if (!process.stdin.isTTY || !process.stdout.isTTY) {
    process.stdout.write(`${title}\n${watched.debugger}${await runScript(watched)}\n`);
    return 0;
  }
  await new LiveView(title, watched, async () => {
    const to = `${slug}-${new Date().toISOString().slice(11, 19).replaceAll(':', '')}.heapsnapshot`;
    await takeSnapshot(watched.subject, to);
    return `${to} (${Math.round((await stat(to)).size / 1024 / 1024)} MB); open it in Chrome DevTools, Memory`;
  }).run();
  return 0;
});

function observable(): string[] {
  return kataSlugs().filter((slug) => existsSync(observeFile(slug)));
}

function observeFile(slug: string): string {
  return join(repositoryRoot, 'tests', slug, 'observe.ts');
}

function insideFile(slug: string): string {
  return join(repositoryRoot, 'tests', slug, 'inside.ts');
}

function chooseKata(args: readonly string[]): string {
  const known = `Those to observe: ${observable().join(', ')}.`;
  if (args.length !== 1) throw new UserError(`Name one kata: npm run observe ${observable()[0]}. ${known}`);
  const [slug] = chooseKatas(args);
  if (!observable().includes(slug!)) throw new UserError(`There is nothing to observe in ${slug}. ${known}`);
  return slug!;
}

function existing(path: string): string {
  const file = resolve(path);
  if (!existsSync(file)) throw new UserError(`There is no file ${path} to observe.`);
  return file;
}
