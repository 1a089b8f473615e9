import { settings } from '../../foundations/settings.ts';

/** What may hold a subject, beside its being a process of its own. In a container it is under the permission model as well. */
export const sandboxes = ['permission-model', 'docker'] as const;
export type Sandbox = (typeof sandboxes)[number];

/**
 * What holds the subjects of this run: `KATA_SANDBOX`, by default Node's permission model.
 * @throws Error when it is not one of `sandboxes`, for a subject never runs less held than was asked for
 */
export function chosenSandbox(): Sandbox {
  const word = settings().sandbox ?? 'permission-model';
  const found = sandboxes.find((name) => name === word);
  if (!found) throw new Error(`KATA_SANDBOX is "${word}"; expected ${sandboxes.join(' or ')}.`);
  return found;
}
