import { randomBytes } from 'node:crypto';

/** What a module's account may do, and only in its own database: rows, not tables. */
const rights = 'SELECT, INSERT, UPDATE, DELETE, LOCK TABLES, CREATE TEMPORARY TABLES, EXECUTE';

/** A password that also those servers take that ask for capitals, digits and punctuation. */
export function newPassword(): string {
  return `Kata-${randomBytes(12).toString('hex')}-7`;
}

/** Statements that make a database and the account that may change its rows, both of this name. */
export function accountStatements(name: string, password: string): readonly string[] {
  return [
    `CREATE DATABASE ${name} CHARACTER SET utf8mb4`,
    `CREATE USER '${name}'@'%' IDENTIFIED BY '${password}' WITH MAX_USER_CONNECTIONS 100`,
    `GRANT ${rights} ON ${name}.* TO '${name}'@'%'`,
  ];
}
