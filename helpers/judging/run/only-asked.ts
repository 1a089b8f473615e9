import { type RunnerTask, beforeEach } from 'vitest';
import { settings } from '../../foundations/settings.ts';
import { notAsked } from '../verdict/not-asked.ts';

// Loaded before each test file, after its settings: promises that nobody asked for are passed over.

const { promises } = settings();

if (promises) {
  beforeEach(({ task, skip }) => skip(!promises.includes(testsOf(task.file.tasks).indexOf(task) + 1), notAsked));
}

function testsOf(tasks: readonly RunnerTask[]): RunnerTask[] {
  return tasks.flatMap((task) => (task.type === 'suite' ? testsOf(task.tasks) : [task]));
}
