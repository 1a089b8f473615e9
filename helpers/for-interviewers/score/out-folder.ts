import { existsSync, readdirSync, statSync } from 'node:fs';
import { UserError } from '../../foundations/command-line/user-error.ts';

/**
 * Says beforehand whether the results can go there.
 * @throws UserError when the folder is there and holds something
 */
export function checkOutFolder(folder: string): void {
  if (!existsSync(folder)) return;
  if (!statSync(folder).isDirectory()) throw new UserError(`${folder} is a file. Name a new folder with --out.`);
  if (readdirSync(folder).length > 0)
    throw new UserError(
      `${folder} is there and not empty; nothing in it is overwritten. Name a new folder with --out.`,
    );
}
