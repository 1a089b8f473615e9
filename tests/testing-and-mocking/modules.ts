import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { transform } from 'esbuild';
import { parse } from 'yaml';
import { repositoryRoot } from '../../helpers/foundations/catalogue/target.ts';
import { keptBack, readSealedFolder } from '../../helpers/instruments/sealed-folder/sealed-folder.ts';

/** Modules of the kind `request` are none of the twelve: they are there for the requests that they make. */
export type Kind = 'amount' | 'coupon' | 'refusal' | 'repetition' | 'request';

/** A module that does one thing wrong. */
export interface WrongModule {
  readonly kind: Kind;
  /** What it does, in words that go on after "a module that". */
  readonly does: string;
  /** As CommonJS. */
  readonly source: string;
}

/** All modules that the suite is run on. */
export interface Modules {
  /** As CommonJS; the one that candidates can read. */
  readonly right: string;
  /** As CommonJS; written in another way. */
  readonly otherRight: readonly string[];
  readonly wrong: readonly WrongModule[];
}

const openFile = 'katas/testing-and-mocking/checkout.ts';

/** @throws Error when checkout.ts was changed, so that a wrong module cannot be made of it */
export async function readModules(): Promise<Modules> {
  const right = await readFile(join(repositoryRoot, openFile), 'utf8');
  const kept = await readSealedFolder(join(import.meta.dirname, keptBack));
  const edits = parse(kept.get('wrong-modules.yaml')!) as (Omit<WrongModule, 'source'> & {
    from: string;
    to: string;
  })[];
  const others = [...kept].filter(([name]) => name.endsWith('.ts')).map(([, text]) => text);
  return {
    right: await compiled(right),
    otherRight: await Promise.all(others.map(compiled)),
    wrong: await Promise.all(
      edits.map(async ({ kind, does, from, to }) => {
        const parts = right.split(from.trimEnd());
        if (parts.length !== 2) throw new Error(`${openFile} was changed. Restore it; the judge needs it as it was.`);
        return { kind, does, source: await compiled(parts.join(to.trimEnd())) };
      }),
    ),
  };
}

async function compiled(text: string): Promise<string> {
  const { code } = await transform(text, { loader: 'ts', format: 'cjs', target: 'es2024' });
  return code;
}
