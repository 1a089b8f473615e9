// Removes what a judge made on a server that outlives it. Plain JavaScript: the keeper runs it without a transform.

const tries = 100;
const pauseMs = 20;

/**
 * What can be asked of a server; mysql2's promise connection fits.
 * @typedef {{ query(sql: string): Promise<[unknown, unknown]> }} Asked
 */

/**
 * The transactions that are prepared on this server, as `XA ROLLBACK` wants to be told of them. Empty where the account may not ask.
 * @param {Asked} connection
 * @returns {Promise<string[]>}
 */
export async function preparedTransactions(connection) {
  const ask = async (/** @type {string} */ sql) =>
    /** @type {Record<string, unknown>[]} */ ((await connection.query(sql))[0]);
  const rows = await ask('XA RECOVER CONVERT XID')
    .catch(() => ask("XA RECOVER FORMAT='SQL'"))
    .catch(() => []);
  return rows.map(({ data, formatID, gtrid_length: length }) => {
    const text = String(data);
    if (!text.startsWith('0x')) return text;
    const cut = 2 + 2 * Number(length);
    return `X'${text.slice(2, cut)}',X'${text.slice(cut)}',${Number(formatID)}`;
  });
}

/**
 * Drops a database and the account of the same name, whatever a module has left there: sessions that are busy with nobody to
 * answer, and prepared transactions, which hold their locks without a session. Of those, only ones that are not among
 * `preparedBefore` are rolled back, and only while they keep the database from going.
 * @param {Asked} connection of an account that may do it
 * @param {string} name
 * @param {readonly string[]} preparedBefore what `preparedTransactions` told before the account was made
 * @throws Error of the server's, when the database cannot be dropped all the same
 */
export async function removeDatabase(connection, name, preparedBefore) {
  // Nobody comes after this.
  await connection.query(`ALTER USER IF EXISTS '${name}'@'%' ACCOUNT LOCK`).catch(() => undefined);
  for (let left = tries; left > 0; left--) {
    const [sessions] = await connection.query(`SELECT id FROM information_schema.processlist WHERE user = '${name}'`);
    const ids = /** @type {Record<string, unknown>[]} */ (sessions).map((row) => Number(row['id'] ?? row['ID']));
    if (ids.length === 0) break;
    for (const id of ids) await connection.query(`KILL ${id}`).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  await connection.query('SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1').catch(() => undefined);
  const drop = () => connection.query(`DROP DATABASE IF EXISTS ${name}`);
  const ours = (await preparedTransactions(connection)).filter((xid) => !preparedBefore.includes(xid)).reverse();
  for (const xid of ours) {
    const isGone = await drop().then(
      () => true,
      () => false,
    );
    if (isGone) break;
    await connection.query(`XA ROLLBACK ${xid}`).catch(() => undefined);
  }
  await connection.query('SET SESSION lock_wait_timeout = 10, innodb_lock_wait_timeout = 10').catch(() => undefined);
  await drop();
  await connection.query(`DROP USER IF EXISTS '${name}'@'%'`);
}
