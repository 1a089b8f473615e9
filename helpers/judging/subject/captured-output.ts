import type { Readable } from 'node:stream';

/** What is kept of a stream from each of its ends. */
const keptBytes = 16 * 1024;

/** The beginning and the end of what a process printed, in bounded memory. */
export class CapturedOutput {
  #head = Buffer.alloc(0);
  #tail = Buffer.alloc(0);
  #bytes = 0;

  /** Reads `stream` to its end; calls `onOverflow` once when more than `limitBytes` have come. */
  constructor(stream: Readable, limitBytes: number, onOverflow: () => void) {
    stream.on('error', () => undefined);
    stream.on('data', (chunk: Buffer) => {
      const before = this.#bytes;
      this.#bytes += chunk.length;
      const room = keptBytes - this.#head.length;
      if (room > 0) this.#head = Buffer.concat([this.#head, chunk.subarray(0, room)]);
      if (chunk.length > room)
        this.#tail = Buffer.concat([this.#tail, chunk.subarray(Math.max(room, 0))]).subarray(-keptBytes);
      if (before <= limitBytes && this.#bytes > limitBytes) onOverflow();
    });
  }

  /** All of it when it is short; otherwise both ends, and how much is left out between them. */
  get text(): string {
    const left = this.#bytes - this.#head.length - this.#tail.length;
    const middle = left > 0 ? `\n[${left} bytes left out]\n` : '';
    return this.#head.toString('utf8') + middle + this.#tail.toString('utf8');
  }
}
