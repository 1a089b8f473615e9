import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { UserError } from '../command-line/user-error.ts';
import { repositoryRoot } from './target.ts';

/**
 * What a kata's module may use beyond its own file and the installed packages. `read-files` and `write-files` are about
 * the workspace of the judge's test file, and no other folder. `heap` grants nothing: it says that its heap is measured.
 * `child-process` lets it fork Node with a file that it may read, and nothing else; it does not go with `worker`.
 */
const needs = ['mysql', 'net', 'worker', 'child-process', 'heap', 'read-files', 'write-files'] as const;
export type Need = (typeof needs)[number];

/** A kata's README, cut into its front matter and the rest. */
export interface FrontMatter {
  /** The README's path as a reader knows it. */
  readonly shown: string;
  readonly body: string;
  /** A field, when `valid` accepts it; otherwise it throws a UserError. */
  field<T>(name: string, valid: (value: unknown) => boolean): T;
}

/**
 * Reads the front matter of a kata's README.
 * @throws UserError that names the file and the fault
 */
export function readFrontMatter(slug: string, root = repositoryRoot): FrontMatter {
  const file = join(root, 'katas', slug, 'README.md');
  const shown = `katas/${slug}/README.md`;
  if (!existsSync(file)) throw new UserError(`${shown} is missing; a kata is described there.`);
  const [, frontMatter, body] = /^---\r?\n(.*?)\r?\n---\r?\n(.*)$/s.exec(readFileSync(file, 'utf8')) ?? [];
  if (frontMatter === undefined || body === undefined)
    throw new UserError(`${shown} does not begin with front matter between two lines of ---.`);

  const fields = readFields(frontMatter, shown);
  const field = <T>(name: string, valid: (value: unknown) => boolean): T => {
    if (!valid(fields[name]))
      throw new UserError(
        `${shown}: front matter "${name}" is ${JSON.stringify(fields[name])}, which is not what it should be.`,
      );
    return fields[name] as T;
  };
  return { shown, body, field };
}

/** What the kata's module may use; a judge needs no more of the README than this. */
export function readNeeds(slug: string, root = repositoryRoot): readonly Need[] {
  return readFrontMatter(slug, root).field(
    'needs',
    (value) => Array.isArray(value) && value.every((item) => needs.includes(item as Need)),
  );
}

function readFields(frontMatter: string, shown: string): Record<string, unknown> {
  try {
    return parseYaml(frontMatter) as Record<string, unknown>;
  } catch (error) {
    throw new UserError(
      `${shown}: front matter cannot be read, ${(error as Error).message.split('\n')[0]?.replace(/:$/, '.')}`,
    );
  }
}
