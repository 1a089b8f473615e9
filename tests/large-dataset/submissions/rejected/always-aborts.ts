/*
breaks: [1, 2, 3, 4, 5, 6, 7, 8, 9]
why: It rejects with an AbortError, whatever it is given. What never begins stops at once.
ask: Which of your tests would a function pass that does nothing?
*/
export function digestLog(): Promise<never> {
  return Promise.reject(new DOMException('The operation was aborted', 'AbortError'));
}
