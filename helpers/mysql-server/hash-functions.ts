import { createConnection } from 'mysql2/promise';
import type { MysqlServer } from './source.ts';

/**
 * Gives a server `MD5()` and `SHA1()`, which MySQL 9.7 has in a component only: answers that name locks by them are correct
 * on every other server. A server that has no such component stays as it is.
 */
export async function addHashFunctions({ flavour, host, port, user, password }: MysqlServer): Promise<void> {
  if (flavour !== 'mysql') return;
  const connection = await createConnection({ host, port, user, password });
  try {
    const knows = (sql: string) =>
      connection.query(sql).then(
        () => true,
        () => false,
      );
    if (!(await knows("SELECT MD5('')"))) await knows("INSTALL COMPONENT 'file://component_classic_hashing'");
  } finally {
    connection.destroy();
  }
}
