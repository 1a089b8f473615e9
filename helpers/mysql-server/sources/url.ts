import { askServer } from '../ask-server.ts';
import { type MysqlServer, type MysqlSource, MysqlUnavailable } from '../source.ts';

const example = 'mysql://root:password@127.0.0.1:3306';
const remedy = 'Start that server or correct MYSQL_URL.';

/** The server that `MYSQL_URL` names, used as it is; nothing of it is stopped or removed afterwards. */
export function urlSource(env: NodeJS.ProcessEnv = process.env): MysqlSource {
  const attach = async (): Promise<MysqlServer> => {
    const account = parseMysqlUrl(env['MYSQL_URL'] ?? '');
    const answer = await askServer(account);
    if ('refusal' in answer) {
      throw new MysqlUnavailable(
        `MYSQL_URL: the server at ${account.host}:${account.port} refuses user ${account.user}: ${answer.refusal}. ${remedy}`,
      );
    }
    return { source: 'url', ...account, ...answer, [Symbol.asyncDispose]: () => Promise.resolve() };
  };
  return {
    name: 'url',
    async probe() {
      if (!env['MYSQL_URL']) {
        return { serves: false, why: 'MYSQL_URL is not set', remedy: `Set it, as in MYSQL_URL=${example}.` };
      }
      try {
        const { flavour, version, host, port } = await attach();
        return { serves: true, detail: `${flavour} ${version} at ${host}:${port}` };
      } catch (error) {
        return { serves: false, why: (error as Error).message.replace(` ${remedy}`, '').replace(/\.$/, ''), remedy };
      }
    },
    start: attach,
  };
}

/**
 * Reads `mysql://user:password@host:port`; the port is 3306 when left out, and what follows it is not used.
 * @throws MysqlUnavailable when the text is not such a URL; the text itself is not repeated, it may hold a password
 */
export function parseMysqlUrl(text: string): Pick<MysqlServer, 'host' | 'port' | 'user' | 'password'> {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const refuse = (why: string): never => {
    throw new MysqlUnavailable(`MYSQL_URL ${why}: write it as ${example}.`);
  };
  if (!url) return refuse('is not a URL');
  if (!['mysql:', 'mariadb:'].includes(url.protocol))
    return refuse(`starts with ${url.protocol}// instead of mysql://`);
  if (!url.hostname) return refuse('names no host');
  if (!url.username) return refuse('names no user');
  try {
    return {
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: Number(url.port || 3306),
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
    };
  } catch {
    return refuse('has a % in user or password that is not written as %25');
  }
}
