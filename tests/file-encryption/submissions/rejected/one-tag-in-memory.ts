/*
breaks: [3]
why: One tag covers the whole file and must be checked before the first byte is written. So the whole file is in memory.
ask: How large can a file be before the process runs out of memory? What can you use instead of one tag for everything?
*/
import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';

interface ScryptCost {
  N: number;
  r: number;
  p: number;
}

export async function encryptFile(input: string, output: string, password: string, cost?: ScryptCost) {
  const { N, r, p } = cost ?? { N: 2 ** 16, r: 8, p: 1 };
  const head = Buffer.concat([Buffer.from('KENC'), Buffer.alloc(12), randomBytes(28)]);
  head.writeUInt32BE(N, 4);
  head.writeUInt32BE(r, 8);
  head.writeUInt32BE(p, 12);
  const cipher = createCipheriv('aes-256-gcm', keyOf(password, head), head.subarray(32)).setAAD(head);
  const text = cipher.update(await readFile(input));
  cipher.final();
  await save(output, [head, cipher.getAuthTag(), text]);
}

export async function decryptFile(input: string, output: string, password: string) {
  const content = await readFile(input);
  const [head, tag, text] = [content.subarray(0, 44), content.subarray(44, 60), content.subarray(60)];
  let plain: Buffer;
  try {
    const decipher = createDecipheriv('aes-256-gcm', keyOf(password, head), head.subarray(32), { authTagLength: 16 });
    decipher.setAAD(head).setAuthTag(tag);
    plain = decipher.update(text);
    decipher.final();
  } catch (error) {
    throw new Error(`${input}: ${(error as Error).message}`);
  }
  await save(output, [plain]);
}

function keyOf(password: string, head: Buffer): Buffer {
  if (head.length < 44 || head.toString('ascii', 0, 4) !== 'KENC') throw new Error('this is no encrypted file');
  const cost = { N: head.readUInt32BE(4), r: head.readUInt32BE(8), p: head.readUInt32BE(12) };
  const work = cost.N * cost.r * cost.p;
  if (work === 0 || work > 2 ** 20) throw new Error('this file asks for too much work');
  return scryptSync(password, head.subarray(16, 32), 32, { ...cost, maxmem: 2 ** 28 });
}

async function save(path: string, parts: Buffer[]): Promise<void> {
  const draft = `${path}.draft`;
  try {
    await writeFile(draft, parts);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}
