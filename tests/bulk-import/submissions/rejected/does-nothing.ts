/*
breaks: [1, 2, 3, 4, 5, 6, 7, 8, 9]
why: It imports nothing, and says so.
ask: What is left open by a module that opens nothing?
*/
export function importCsv() {
  return Promise.resolve({ rows: 0, skipped: 0 });
}
