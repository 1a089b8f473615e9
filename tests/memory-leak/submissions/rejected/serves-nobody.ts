/*
breaks: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
why: It does nothing, so nothing leaks.
ask: Which of the promises does a memory graph show?
*/
export class MemoryLeakGateway {
  close(): void {}
}
