/*
breaks: [1, 2, 3, 4, 5, 6, 7, 8, 9]
why: It imports nothing and reports a success.
ask: How would you notice an import that does nothing?
*/
export function importCsv() {
  return Promise.resolve({ rows: 0, skipped: 0 });
}
