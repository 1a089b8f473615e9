// The channel between a judge and its subject: frames on one stream, their length in four bytes before them. Plain JavaScript:
// the subject's host loads it without a transform. Both sides, and the agent in a container, read frames by it.

const headBytes = 4;

/**
 * Sends one frame.
 * @param {import('node:net').Socket} socket
 * @param {Uint8Array} body
 * @returns {boolean} false when the stream wants to be waited for
 */
export function writeFrame(socket, body) {
  const head = Buffer.alloc(headBytes);
  head.writeUInt32BE(body.length);
  socket.cork();
  socket.write(head);
  const flows = socket.write(body);
  socket.uncork();
  return flows;
}

/**
 * Gives the body of each frame that comes to `onFrame`. A frame that is longer than `limitBytes` is not waited for: `onFault` is
 * called, once, and nothing more is read.
 * @param {import('node:net').Socket} socket
 * @param {number} limitBytes
 * @param {(body: Buffer) => void} onFrame
 * @param {(why: string) => void} onFault
 */
export function readFrames(socket, limitBytes, onFrame, onFault) {
  /** @type {Buffer[]} */
  const parts = [];
  let held = 0;
  let isOver = false;
  socket.on('data', (/** @type {Buffer} */ chunk) => {
    if (isOver) return;
    parts.push(chunk);
    held += chunk.length;
    while (held >= headBytes) {
      let first = /** @type {Buffer} */ (parts[0]);
      if (first.length < headBytes) parts.splice(0, parts.length, (first = Buffer.concat(parts, held)));
      const bodyBytes = first.readUInt32BE();
      if (bodyBytes > limitBytes) {
        isOver = true;
        parts.length = 0;
        onFault(`a message of ${bodyBytes} bytes`);
        return;
      }
      if (held < headBytes + bodyBytes) return;
      const all = Buffer.concat(parts.splice(0), held);
      const rest = all.subarray(headBytes + bodyBytes);
      held = rest.length;
      if (held > 0) parts.push(rest);
      onFrame(all.subarray(headBytes, headBytes + bodyBytes));
    }
  });
  socket.on('error', () => undefined);
}
