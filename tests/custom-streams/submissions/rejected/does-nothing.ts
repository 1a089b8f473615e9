/*
breaks: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
why: The generator ends at once. The other two classes accept everything and do nothing: no error, no save, nothing after destroy().
ask: Which of your tests would pass for a class that does nothing?
*/
import { Readable, Transform, Writable } from 'node:stream';

export class NumberGenerator extends Readable {
  override _read() {
    this.push(null);
  }
}

export class Doubler extends Transform {
  override _transform(_chunk: unknown, _encoding: string, callback: () => void) {
    callback();
  }
}

export class Collector extends Writable {
  override _write(_chunk: unknown, _encoding: string, callback: () => void) {
    callback();
  }
}
