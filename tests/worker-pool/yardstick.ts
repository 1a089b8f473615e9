import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { repositoryRoot } from '../../helpers/foundations/catalogue/target.ts';
import { Subject } from '../../helpers/judging/subject/subject.ts';
import type * as Kata from '../../katas/worker-pool/worker-pool.ts';

/** By this text a hand-out knows that the judge needs the package. */
const piscina = 'piscina';
const source = `
  import { Piscina } from '${piscina}';
  export function createWorkerPool(filename, { size }) {
    const pool = new Piscina({ filename, minThreads: size, maxThreads: size });
    return { run: (data) => pool.run(data), close: () => pool.destroy() };
  }`;

/** Piscina as a module of this kata, in a process like the candidate's. Its folder is not the one that the candidate's module may read. */
export async function startPiscina(folder: string, tasksFile: string): Promise<Subject<typeof Kata>> {
  const [file, tasks] = [join(folder, 'piscina.js'), join(folder, 'tasks.mjs')];
  const common = {
    bundle: true,
    platform: 'node',
    logLevel: 'silent',
    // Native, and only there to give threads another priority.
    alias: { '@napi-rs/nice': join(folder, 'nothing.js') },
  } as const;
  await writeFile(join(folder, 'nothing.js'), 'module.exports = {};');
  await copyFile(tasksFile, tasks);
  await build({
    ...common,
    stdin: { contents: source, resolveDir: repositoryRoot },
    format: 'esm',
    outfile: file,
    banner: {
      js: `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url); const __dirname = import.meta.dirname;`,
    },
  });
  await build({
    ...common,
    entryPoints: [join(repositoryRoot, 'node_modules', piscina, 'dist/worker.js')],
    format: 'cjs',
    outfile: join(folder, 'worker.js'),
  });
  const insideFile = join(repositoryRoot, 'tests/worker-pool/inside.ts');
  const subject = new Subject<typeof Kata>(file, { needs: ['worker', 'read-files'], workspace: folder, insideFile });
  await subject.load();
  return subject;
}
