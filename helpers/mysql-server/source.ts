import type { ServerAddress } from '../foundations/server-address.ts';
import { UserError } from '../foundations/command-line/user-error.ts';

/** The places a MySQL server can come from, in the order in which they are asked. */
export const sourceNames = ['url', 'docker', 'local', 'debian-mysql', 'debian-mariadb'] as const;

export type SourceName = (typeof sourceNames)[number];

/** What a source says before anything is started. */
export type Probe =
  | { readonly serves: true; readonly detail: string }
  | { readonly serves: false; readonly why: string; readonly remedy: string };

/** One place that a MySQL server can come from. */
export interface MysqlSource {
  readonly name: SourceName;
  /** Tells whether this source would serve here; starts nothing, downloads nothing, never throws. Who waits long says so. */
  probe(onProgress?: (line: string) => void): Promise<Probe>;
  /**
   * Starts a server, or attaches to one. What it starts is on the leash before it is up.
   * @throws MysqlUnavailable when the server cannot be had after all, with the server's own words
   */
  start(onProgress: (line: string) => void): Promise<MysqlServer>;
}

/** A running server, with an account that may create databases and accounts. */
export interface MysqlServer extends ServerAddress, AsyncDisposable {
  readonly source: SourceName;
  readonly flavour: 'mysql' | 'mariadb';
  /** As the server tells it, without a distribution's suffix: `9.7.4`. */
  readonly version: string;
}

/** No server: one sentence that says what was tried, why it did not serve, and what to do. No password in it. */
export class MysqlUnavailable extends UserError {
  override readonly name = 'MysqlUnavailable';
}
