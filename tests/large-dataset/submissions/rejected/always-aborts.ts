/*
breaks: [1, 2, 3, 4, 5, 6, 7, 8, 9]
why: The function rejects every call with an AbortError. Work that never starts is easy to stop.
ask: Which of your tests would pass for a function that does nothing?
*/
export function digestLog(): Promise<never> {
  return Promise.reject(new DOMException('The operation was aborted', 'AbortError'));
}
