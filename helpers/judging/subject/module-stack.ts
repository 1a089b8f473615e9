import { fileURLToPath } from 'node:url';
import { repositoryRoot, shortPath } from '../../foundations/catalogue/target.ts';

/** The frames of the module and its packages, without those of Node, of the host and of the test's own function. */
export function moduleStack(stack: string): string {
  return stack
    .split('\n')
    .filter((line) => /^\s+at /.test(line) && !/node:internal|node:events|evaluate\.js|inside.host\.js/.test(line))
    .map((line) =>
      line
        .replace('at Proxy.', 'at ')
        .replace(/file:\/\/\S+?(?=:\d+:\d+)/, pathOf)
        .replaceAll(`${repositoryRoot}/`, ''),
    )
    .join('\n');
}

/** A module can write what it likes into a stack, also what is no path. */
function pathOf(url: string): string {
  try {
    return shortPath(fileURLToPath(url));
  } catch {
    return url;
  }
}
