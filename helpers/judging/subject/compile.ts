import { readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { type TransformFailure, transform } from 'esbuild';
import { decoratorKind } from './decorator-kind.ts';
import { findForeignImport } from './foreign-imports.ts';
import { SubjectError } from './subject-error.ts';
import { shortPath } from '../../foundations/catalogue/target.ts';

/** A kata's file as JavaScript, with its source map inside. */
interface Compiled {
  readonly url: string;
  readonly source: string;
}

/**
 * Turns one TypeScript file into JavaScript. Types are stripped, not checked; enums, parameter properties and
 * decorators work, both the standard ones and TypeScript's older ones; see `decoratorKind`. It is known to Node and to the reader as `name`.
 * @throws SubjectError with line and column when it does not compile, or with the line when it imports what is not judged
 */
export async function compile(file: string, name = file): Promise<Compiled> {
  const text = await readFile(file, 'utf8');
  try {
    const { code } = await transform(text, {
      loader: 'ts',
      format: 'esm',
      target: 'es2024',
      sourcefile: name,
      sourcemap: 'inline',
      sourcesContent: false,
      tsconfigRaw: {
        compilerOptions: {
          experimentalDecorators: decoratorKind(text) === 'legacy',
          useDefineForClassFields: true,
        },
      },
    });
    const foreign = await findForeignImport(name, text);
    if (foreign) throw new SubjectError(`${shortPath(name)}:${foreign.line} cannot be judged: ${foreign.sentence}.`);
    return { url: pathToFileURL(name).href, source: code };
  } catch (error) {
    const [first] = (error as TransformFailure).errors ?? [];
    if (!first) throw error;
    const where = first.location ? `:${first.location.line}:${first.location.column + 1}` : '';
    const line = first.location ? `\n    ${first.location.lineText.trim()}` : '';
    throw new SubjectError(`${shortPath(name)}${where} does not compile: ${first.text}${line}`);
  }
}
