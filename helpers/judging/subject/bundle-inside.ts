import { relative } from 'node:path';
import { type BuildFailure, build } from 'esbuild';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { allowedPackages } from './allowed-packages.ts';

const bundled = new Map<string, Promise<string>>();

/**
 * The functions that a judge sends into a subject's process, with the repository's modules that they import, as one CommonJS text.
 * The packages that a kata may import and Node's own modules stay outside: the host hands them out as they were before the kata's
 * module loaded. Any other package becomes part of the text, so that the judge has it where the kata's module cannot read it.
 * @throws Error when the file does not compile
 */
export function bundleInside(file: string): Promise<string> {
  const known = bundled.get(file) ?? bundle(file);
  bundled.set(file, known);
  return known;
}

async function bundle(file: string): Promise<string> {
  try {
    const { outputFiles } = await build({
      entryPoints: [file],
      bundle: true,
      write: false,
      format: 'cjs',
      platform: 'node',
      target: 'es2024',
      external: [...allowedPackages],
      logLevel: 'silent',
    });
    return outputFiles[0]!.text;
  } catch (error) {
    const [first] = (error as BuildFailure).errors ?? [];
    throw new Error(`${relative(repositoryRoot, file)} does not compile: ${first?.text ?? String(error)}`);
  }
}
