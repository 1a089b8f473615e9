/** Where a server answers, and an account on it that may create databases and accounts. Plain data. */
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
}
