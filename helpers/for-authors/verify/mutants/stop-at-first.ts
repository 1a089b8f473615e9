import { afterEach, beforeEach } from 'vitest';

// Loaded before the judge of a mutant: one broken promise is enough to know that it is found.

let found = false;

beforeEach(({ skip }) => skip(found, 'an earlier promise was broken'));

afterEach(({ task }) => {
  if (task.result?.state === 'fail') found = true;
});
