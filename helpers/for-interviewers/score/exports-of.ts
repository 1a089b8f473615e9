import { transform } from 'esbuild';
import { parseSync } from 'oxc-parser';

/** The names of the values that a module exports; undefined when it does not compile or passes on another module's exports. */
export async function exportsOf(text: string): Promise<string[] | undefined> {
  try {
    const { code } = await transform(text, { loader: 'ts', format: 'esm', target: 'es2024', logLevel: 'silent' });
    const entries = parseSync('module.js', code).module.staticExports.flatMap((statement) => statement.entries);
    const names = entries.map(({ exportName }) => (exportName.kind === 'Default' ? 'default' : exportName.name));
    return names.includes(null) ? undefined : (names as string[]);
  } catch {
    return undefined;
  }
}
