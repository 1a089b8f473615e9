// Path: verdict.ts. Window: tests that end because the machine has run out of something.
// Invariant: what the judge lacked is not judged, with the reason; what the module lacked is the module's affair.
import type { TestCase } from 'vitest/node';
import { expect, test } from 'vitest';
import { promiseVerdict } from './verdict.ts';

/** A test that has failed with this error, as far as a verdict reads it. */
function failedBy(error: object): TestCase {
  return {
    name: 'It counts.',
    parent: { type: 'suite', name: 'core' },
    module: { moduleId: 'tests/a/a.test.ts' },
    result: () => ({ state: 'failed', errors: [error] }),
    meta: () => ({}),
    diagnostic: () => ({ duration: 1 }),
  } as unknown as TestCase;
}

test.for([
  [
    { name: 'Error', message: 'connect EMFILE 127.0.0.1:80', code: 'EMFILE', syscall: 'connect' },
    'the machine ran short while the judge worked (connect EMFILE 127.0.0.1:80)',
  ],
  [
    { name: 'SubjectError', message: 'No process could be started for katas/a/a.ts: spawn EAGAIN' },
    'the machine could not start a process (spawn EAGAIN)',
  ],
] as const)('%o is not judged', ([error, reason]) => {
  expect(promiseVerdict(failedBy(error), 1)).toMatchObject({ held: false, notJudged: reason, seen: undefined });
});

test.for([
  { name: 'SubjectError', message: 'katas/a/a.ts threw while answering a call: Error: connect EMFILE 127.0.0.1:80' },
  { name: 'AssertionError', message: 'expected EMFILE to be 1', code: 'EMFILE', syscall: 'connect' },
  { name: 'Error', message: 'connect ECONNREFUSED', code: 'ECONNREFUSED', syscall: 'connect' },
  { name: 'Error', message: 'EMFILE', code: 'EMFILE' },
])('%o is a broken promise', (error) => {
  expect(promiseVerdict(failedBy(error), 1)).toMatchObject({ held: false, notJudged: undefined, seen: error.message });
});
