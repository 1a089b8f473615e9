import { askServer } from '../ask-server.ts';
import { type MysqlServer, type MysqlSource, MysqlUnavailable } from '../source.ts';
import { tryServer } from '../try-server.ts';

const example = 'mysql://root:password@127.0.0.1:3306';
const remedy = 'Start that server or correct MYSQL_URL.';
/** How long a server may take to answer: beside other runs it may be as short of time as they are. */
const answerLimitMs = 60_000;

type Attached = { readonly server: MysqlServer } | { readonly why: string; readonly remedy: string };

/**
 * The server that `MYSQL_URL` names. It is asked for its settings, and what a judge does on a server is tried there once; nothing
 * of it is changed, stopped or removed.
 */
export function urlSource(env: NodeJS.ProcessEnv = process.env, limitMs = answerLimitMs): MysqlSource {
  let attached: Promise<Attached> | undefined;
  const attach = async (onProgress: (line: string) => void): Promise<Attached> => {
    const account = parseMysqlUrl(env['MYSQL_URL'] ?? '');
    const answer = await askServer(account, {
      limitMs,
      onProgress: (line) => onProgress(`MYSQL_URL: ${line}`),
    });
    if ('refusal' in answer) {
      return {
        why: `MYSQL_URL: the server at ${account.host}:${account.port} refuses user ${account.user}: ${answer.refusal}`,
        remedy,
      };
    }
    const fault = await tryServer(account);
    if (fault) return { ...fault, why: `MYSQL_URL: ${fault.why}` };
    return { server: { source: 'url', ...account, ...answer, [Symbol.asyncDispose]: () => Promise.resolve() } };
  };
  return {
    name: 'url',
    async probe(onProgress = () => undefined) {
      if (!env['MYSQL_URL']) {
        return { serves: false, why: 'MYSQL_URL is not set', remedy: `Set it, as in MYSQL_URL=${example}.` };
      }
      try {
        const outcome = await (attached ??= attach(onProgress));
        if (!('server' in outcome)) return { serves: false, ...outcome };
        const { flavour, version, host, port } = outcome.server;
        return { serves: true, detail: `${flavour} ${version} at ${host}:${port}` };
      } catch (error) {
        return { serves: false, why: (error as Error).message.replace(/\.$/, ''), remedy };
      }
    },
    async start(onProgress) {
      const outcome = await (attached ??= attach(onProgress));
      if ('server' in outcome) return outcome.server;
      throw new MysqlUnavailable(`${outcome.why}. ${outcome.remedy}`);
    },
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
