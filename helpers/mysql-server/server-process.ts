import { readFile } from 'node:fs/promises';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { hasProc } from '../foundations/processes/proc.ts';

/** The id of the server's process, where it is one that we have started on this machine and Linux tells of it; else undefined. */
export async function serverPid(admin: Connection): Promise<number | undefined> {
  if (!hasProc) return undefined;
  const [[row]] = await admin.query<RowDataPacket[]>('SELECT @@pid_file AS file');
  const file = String(row!.file);
  const pid = Number(await readFile(file, 'utf8').catch(() => ''));
  // A server elsewhere may name a file that another one has written here; the file of ours is named in its command.
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return command.split('\0').includes(`--pid-file=${file}`) ? pid : undefined;
}
