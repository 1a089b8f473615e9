// Runs detached, started by leash.ts; reads duties as JSON lines and does those left when its standard input ends. Plain
// JavaScript, so that it starts without a transform.
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { killGroup } from './kill-group.js';
import { removeDatabase } from './remove-database.js';
import { removeFolder } from './remove-folder.js';

/** @typedef {import('./leash.ts').Duty} Duty */

/** @type {Map<number, Duty>} */
const duties = new Map();

for await (const line of createInterface({ input: process.stdin })) {
  /** @type {{ id: number, duty?: Duty }} */
  const { id, duty } = JSON.parse(line);
  if (duty) duties.set(id, duty);
  else duties.delete(id);
}

for (const duty of [...duties.values()].reverse()) {
  try {
    await undertake(duty);
  } catch {
    // Nobody is left to be told; the next duty matters more.
  }
}

/** @param {Duty} duty */
async function undertake(duty) {
  if ('kill' in duty) {
    killGroup(duty.kill);
  } else if ('folder' in duty) {
    await removeFolder(duty.folder);
  } else if ('container' in duty) {
    const { getContainerRuntimeClient } = await import('testcontainers');
    const { container } = await getContainerRuntimeClient();
    const limitMs = performance.now() + (duty.appearsWithinMs ?? 0);
    for (;;) {
      const isGone = await container
        .getById(duty.container)
        .remove({ force: true, v: true })
        .then(
          () => true,
          () => false,
        );
      if (isGone || performance.now() > limitMs) break;
      await setTimeout(100);
    }
  } else {
    const { createConnection } = await import('mysql2/promise');
    const connection = await createConnection(duty.server);
    await removeDatabase(connection, duty.database, duty.preparedBefore);
    await connection.end();
  }
}
