import { readFile } from 'node:fs/promises';
import { transform } from 'esbuild';
import { distance } from 'fastest-levenshtein';

/** What is compared of a text; a right answer is a tenth of it. */
const comparedCharacters = 20_000;

/** What esbuild makes of names; which one it takes hangs on how often the text has which letter. */
const shortName = /(?<![\w$.])[A-Za-z_$][\w$]?(?![\w$])/g;
const shortKeywords = new Set(['as', 'do', 'if', 'in', 'of']);

/**
 * A module's text as it counts for a comparison: without comments, types, spacing, and the names that its author gave to
 * what is not exported. One that does not compile is taken as it is, but for spacing.
 */
export async function essence(text: string): Promise<string> {
  try {
    const { code } = await transform(text, {
      loader: 'ts',
      format: 'esm',
      target: 'es2024',
      legalComments: 'none',
      minifyWhitespace: true,
      minifyIdentifiers: true,
      logLevel: 'silent',
      tsconfigRaw: { compilerOptions: { experimentalDecorators: true, useDefineForClassFields: true } },
    });
    const nameless = code
      .replace(shortName, (name) => (shortKeywords.has(name) ? name : 'v'))
      .replaceAll('v as v', 'v');
    return nameless.slice(0, comparedCharacters);
  } catch {
    return plainEssence(text);
  }
}

/** The same of a text that cannot be parsed: without its spacing. */
export function plainEssence(text: string): string {
  return text.replace(/\s+/g, ' ').slice(0, comparedCharacters);
}

/** The same of a file. */
export async function essenceOf(file: string): Promise<string> {
  return await essence(await readFile(file, 'utf8'));
}

/** How near two essences are: from 0, nothing in common, to 1, the same. */
export function similarity(one: string, other: string): number {
  const longer = Math.max(one.length, other.length);
  return longer === 0 ? 1 : Math.round((1 - distance(one, other) / longer) * 1000) / 1000;
}
