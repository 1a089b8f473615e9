/*
breaks: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
why: The functions accept everything and return nothing: no error, no timer, no cost, and no result.
ask: Which of your tests would pass for a function that does nothing?
*/
import { type Duplex, type Readable, Transform } from 'node:stream';

export async function toBuffer(source: Readable): Promise<Buffer> {
  source.destroy();
  return Buffer.alloc(0);
}

export async function toText(source: Readable): Promise<string> {
  source.destroy();
  return '';
}

export function split(): Duplex {
  return swallow();
}

export function batch(): Duplex {
  return swallow();
}

function swallow(): Transform {
  return new Transform({ objectMode: true, transform: (_chunk, _encoding, callback) => callback() });
}
