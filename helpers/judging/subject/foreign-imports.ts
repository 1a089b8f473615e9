import { isBuiltin } from 'node:module';
import { basename } from 'node:path';
import { type BuildFailure, build } from 'esbuild';
import { allowedPackages } from './allowed-packages.ts';

/** An import that does not count, since the judge takes one file and installs nothing. */
export interface ForeignImport {
  readonly line: number;
  readonly sentence: string;
}

/**
 * Finds the first import in a module, of a value, that will not be there where it is judged: another file, or a package that
 * is not the catalogue's. Said before the module loads, so that a candidate hears it at home and not from the score.
 */
export async function findForeignImport(file: string, text: string): Promise<ForeignImport | undefined> {
  try {
    await build({
      stdin: { contents: text, loader: 'ts', sourcefile: 'module.ts' },
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'node',
      target: 'es2024',
      logLevel: 'silent',
      plugins: [
        {
          name: pluginName,
          setup: (setup) =>
            setup.onResolve({ filter: /.*/ }, ({ path, kind }) => {
              if (kind === 'entry-point') return undefined;
              const fault = faultOf(path, basename(file));
              return fault === undefined ? { path, external: true } : { errors: [{ text: fault }] };
            }),
        },
      ],
    });
    return undefined;
  } catch (error) {
    // Compile errors are reported elsewhere.
    const found = (error as BuildFailure).errors?.find((one) => one.pluginName === pluginName);
    return found && { line: found.location?.line ?? 1, sentence: found.text };
  }
}

const pluginName = 'foreign-imports';

function faultOf(path: string, own: string): string | undefined {
  if (isBuiltin(path) || allowedPackages.some((name) => path === name || path.startsWith(`${name}/`))) return undefined;
  if (/^(?:[./\\]|file:|data:|[A-Za-z]:)/.test(path))
    return `it imports "${path}", but only ${own} is judged: put what you need into that file`;
  return `it imports "${path}", which is not there when the module is judged: use Node's own modules, ${allowedPackages.join(', ')}`;
}
