import { createCipheriv, createDecipheriv, hkdfSync, randomBytes, scryptSync } from 'node:crypto';
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';

interface Cost {
  N: number;
  r: number;
  p: number;
}

const pieceBytes = 200_000;

/** No streams and no waiting: the size of the file stands in its head, and each piece has a key of its own. */
export function encryptFile(input: string, output: string, password: string, cost?: Cost): Promise<void> {
  return Promise.resolve().then(() => {
    const { N, r, p } = cost ?? { N: 2 ** 17, r: 8, p: 1 };
    const source = openSync(input, 'r');
    try {
      const { size } = fstatSync(source);
      const head = Buffer.alloc(56, 'KENC');
      head.writeUInt32BE(N, 4);
      head.writeUInt32BE(r, 8);
      head.writeUInt32BE(p, 12);
      head.set(randomBytes(32), 16);
      head.writeBigUInt64BE(BigInt(size), 48);
      const master = masterOf(password, head);
      inAFolderBeside(output, (target) => {
        writeAll(target, head);
        for (let done = 0, index = 0; index === 0 || done < size; done += pieceBytes, index++) {
          const piece = readAll(source, Math.min(pieceBytes, size - done), done);
          const cipher = createCipheriv('aes-256-gcm', keyOf(master, index), Buffer.alloc(12)).setAAD(head);
          writeAll(target, cipher.update(piece));
          cipher.final();
          writeAll(target, cipher.getAuthTag());
        }
      });
    } finally {
      closeSync(source);
    }
  });
}

export function decryptFile(input: string, output: string, password: string): Promise<void> {
  return Promise.resolve().then(() => {
    const source = openSync(input, 'r');
    try {
      const head = readAll(source, 56, 0);
      const size = Number(head.readBigUInt64BE(48));
      const pieces = Math.max(1, Math.ceil(size / pieceBytes));
      if (fstatSync(source).size !== 56 + size + 16 * pieces) throw new Error('has the wrong length');
      const master = masterOf(password, head);
      inAFolderBeside(output, (target) => {
        for (let index = 0, at = 56; index < pieces; index++, at += pieceBytes + 16) {
          const bytes = Math.min(pieceBytes, size - index * pieceBytes);
          const sealed = readAll(source, bytes + 16, at);
          const decipher = createDecipheriv('aes-256-gcm', keyOf(master, index), Buffer.alloc(12), {
            authTagLength: 16,
          });
          decipher.setAAD(head).setAuthTag(sealed.subarray(bytes));
          const plain = decipher.update(sealed.subarray(0, bytes));
          decipher.final();
          writeAll(target, plain);
        }
      });
    } catch (error) {
      throw new Error(`${input}: ${(error as Error).message}`);
    } finally {
      closeSync(source);
    }
  });
}

function masterOf(password: string, head: Buffer): Buffer {
  const [N, r, p] = [4, 8, 12].map((at) => head.readUInt32BE(at)) as [number, number, number];
  if (head.toString('latin1', 0, 4) !== 'KENC') throw new Error('is not encrypted');
  if (p > 16 || r > 64 || N > 2 ** 17 || N * r * p > 2 ** 20) throw new Error('has a head that asks for too much');
  return scryptSync(password, head.subarray(16, 48), 32, { N, r, p, maxmem: 128 * (N * r + p * r) + 2 ** 20 });
}

function keyOf(master: Buffer, index: number): Buffer {
  return Buffer.from(hkdfSync('sha256', master, '', `piece ${index}`, 32));
}

function readAll(file: number, bytes: number, position: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  for (let done = 0; done < bytes;) {
    const read = readSync(file, buffer, done, bytes - done, position + done);
    if (read === 0) throw new Error('is cut');
    done += read;
  }
  return buffer;
}

function writeAll(file: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done);
}

function inAFolderBeside(output: string, write: (file: number) => void): void {
  const folder = mkdtempSync(join(dirname(output), '.encrypting-'));
  try {
    const part = join(folder, 'part');
    const file = openSync(part, 'w');
    try {
      write(file);
    } finally {
      closeSync(file);
    }
    renameSync(part, output);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
