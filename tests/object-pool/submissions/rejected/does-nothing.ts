/*
breaks: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
why: acquire always returns the same object, and release ignores everything.
ask: Which of your tests would pass for a pool that does nothing?
*/
import type { ObjectPool, ObjectPoolOptions } from '../../../../katas/object-pool/object-pool.ts';

export function createObjectPool<T extends object>({ create }: ObjectPoolOptions<T>): ObjectPool<T> {
  const object = create();
  return {
    acquire: () => object,
    release: () => undefined,
    lease: () => ({ object, [Symbol.dispose]: () => undefined }),
    idle: 0,
    held: 0,
  };
}
