import { createHash, randomBytes } from 'node:crypto';
import type { ContainerRuntimeClient } from 'testcontainers';
import { leash } from '../../foundations/processes/leash.ts';
import { askServer } from '../ask-server.ts';
import { serverWords } from '../data-template.ts';
import { serverFlags } from '../flags.ts';
import { type MysqlServer, type MysqlSource, MysqlUnavailable } from '../source.ts';
import { adoptEngine, askEngine } from '../../foundations/docker/docker-engine.ts';

const defaultImage = 'mysql:9.7';
const bakedRepository = 'backend-katas-mysql';
const startLimitMs = 60_000;
const bakeLimitMs = 180_000;
/** A container may still come into being this long after we have asked for it and were killed. */
const appearsWithinMs = 15_000;

/** Initialises a data directory into /tpl, because /var/lib/mysql is a volume and would not stay in the image. */
const bakeScript = `set -e
mkdir /tpl
chown mysql:mysql /tpl
if command -v mariadbd >/dev/null; then
  install=$(command -v mariadb-install-db || command -v mysql_install_db)
  "$install" --no-defaults --user=mysql --datadir=/tpl --auth-root-authentication-method=normal --skip-test-db "$@"
else
  mysqld --no-defaults --user=mysql --datadir=/tpl --initialize-insecure "$@"
fi`;

/** MariaDB's image has mariadbd, and may have a mysqld that is a link to it. */
const bootScript = `set -e
cp -a /tpl/. /var/lib/mysql/
cat >/tmp/init.sql <<SQL
ALTER USER 'root'@'localhost' IDENTIFIED BY '$MYSQL_ROOT_PASSWORD';
CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY '$MYSQL_ROOT_PASSWORD';
GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION;
DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1';
SQL
server=$(command -v mariadbd || command -v mysqld)
exec "$server" --no-defaults --user=mysql --datadir=/var/lib/mysql --init-file=/tmp/init.sql \\
  --socket=/tmp/mysql.sock --pid-file=/tmp/mysql.pid --secure-file-priv=/tmp "$@"`;

/**
 * A container of `MYSQL_IMAGE` (default `mysql:9.7`) in the Docker engine that Testcontainers finds. Its first run
 * bakes an image with a ready data directory, later ones start from that. The leash removes the container, so it needs
 * no Ryuk.
 */
export function dockerSource(env: NodeJS.ProcessEnv = process.env): MysqlSource {
  const image = env['MYSQL_IMAGE'] || defaultImage;
  return {
    name: 'docker',
    async probe() {
      const engine = await askEngine(env);
      if ('why' in engine) return { serves: false, ...engine };
      const isHere = await engine.hasImage(image);
      return {
        serves: true,
        detail: `Docker ${engine.version}, image ${image}${isHere ? '' : ', pulled on first use'}`,
      };
    },
    async start(onProgress) {
      // Loaded late: it takes half a second, and most sources do without it.
      const engine = await adoptEngine(env);
      if ('why' in engine) throw new MysqlUnavailable(`${capital(engine.why)}. ${engine.remedy}`);
      const { getContainerRuntimeClient } = await import('testcontainers');
      let client: ContainerRuntimeClient;
      try {
        client = await getContainerRuntimeClient();
      } catch (error) {
        throw new MysqlUnavailable(
          `Docker ${engine.version} answers, but Testcontainers finds no way to it (${wordsOf(error)}): set DOCKER_HOST.`,
        );
      }
      const baked = await bakedImage(client, image, onProgress);
      return startContainer(client, image, baked);
    },
  };
}

/** The image with a data directory in it, made on first use; its name changes with the base image and with the recipe. */
async function bakedImage(
  client: ContainerRuntimeClient,
  image: string,
  onProgress: (line: string) => void,
): Promise<string> {
  const { ImageName } = await import('testcontainers');
  const engine = client.container.dockerode;
  let baseId: string;
  try {
    const name = ImageName.fromString(image);
    if (!(await client.image.exists(name))) {
      onProgress(`docker: pulling ${image}, once`);
      await client.image.pull(name);
    }
    baseId = (await engine.getImage(image).inspect()).Id;
  } catch (error) {
    throw new MysqlUnavailable(
      `Docker answers, but the image ${image} cannot be pulled (${wordsOf(error)}): run "docker pull ${image}" where ` +
        'the registry can be reached, or set MYSQL_IMAGE to an image that is here.',
    );
  }

  const flags = serverFlags('linux');
  const key = createHash('sha256')
    .update(JSON.stringify([baseId, bakeScript, flags]))
    .digest('hex')
    .slice(0, 16);
  const tag = `${bakedRepository}:${key}`;
  const isBaked = (): Promise<boolean> =>
    engine
      .getImage(tag)
      .inspect()
      .then(
        () => true,
        () => false,
      );
  if (await isBaked()) return tag;

  const startedMs = performance.now();
  onProgress(`docker: baking a data directory into an image of ${image}, once`);
  const name = containerName();
  const release = leash({ container: name, appearsWithinMs });
  const container = engine.getContainer(name);
  try {
    await engine.createContainer({
      name,
      Image: image,
      Entrypoint: ['sh', '-c', bakeScript, 'sh'],
      Cmd: [...flags],
      User: 'root',
      // One stream of plain text, for the words of a failure.
      Tty: true,
    });
    await container.start();
    const { StatusCode: status } = (await container.wait({ abortSignal: AbortSignal.timeout(bakeLimitMs) })) as {
      StatusCode: number;
    };
    if (status !== 0) {
      const log = String(await container.logs({ stdout: true, stderr: true })).replaceAll('\r', '');
      throw new MysqlUnavailable(
        `The image ${image} cannot initialise a data directory (exit code ${status}: ${serverWords(log)}): ` +
          'set MYSQL_IMAGE to an official mysql or mariadb image.',
      );
    }
    // Another run may have been faster; its image is as good.
    if (!(await isBaked())) await container.commit({ repo: bakedRepository, tag: key });
  } catch (error) {
    throw error instanceof MysqlUnavailable
      ? error
      : new MysqlUnavailable(`Docker could not bake an image from ${image}: ${wordsOf(error)}.`);
  } finally {
    await remove(container);
    release();
  }
  onProgress(`docker: image baked after ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
  return tag;
}

async function startContainer(client: ContainerRuntimeClient, image: string, baked: string): Promise<MysqlServer> {
  const [{ MySqlContainer }, { Wait }] = await Promise.all([import('@testcontainers/mysql'), import('testcontainers')]);
  const password = randomBytes(12).toString('hex');
  const name = containerName();
  const isNear = ['localhost', '127.0.0.1', '::1'].includes(client.info.containerRuntime.host);
  let log = '';

  /** Testcontainers publishes a port to the whole network; this one is for this machine alone where that can be. */
  class LoopbackMySqlContainer extends MySqlContainer {
    constructor() {
      super(baked);
      // An engine that is stopped under us removes it when it comes back.
      this.hostConfig.AutoRemove = true;
      if (isNear) this.hostConfig.PortBindings = { '3306/tcp': [{ HostIp: '127.0.0.1', HostPort: '0' }] };
    }
  }

  // On the leash by its name, before the engine hears of it: a kill between create and start loses nothing.
  const release = leash({ container: name, appearsWithinMs });
  const container = client.container.getById(name);
  const dispose = async (): Promise<void> => {
    await remove(container);
    release();
  };
  try {
    const started = await new LoopbackMySqlContainer()
      .withName(name)
      .withAutoCleanup(false)
      .withUser('root')
      .withRootPassword(password)
      .withTmpFs({ '/var/lib/mysql': 'rw' })
      .withEntrypoint(['sh', '-c', bootScript, 'sh'])
      .withCommand([...serverFlags('linux')])
      // One line in MySQL, the second of two in MariaDB.
      .withWaitStrategy(Wait.forLogMessage(/socket: .*port: 3306\b/, 1))
      .withStartupTimeout(startLimitMs)
      .withLogConsumer((stream) => stream.on('data', (chunk) => (log = (log + String(chunk)).slice(-20_000))))
      .start();
    const account = { host: isNear ? '127.0.0.1' : started.getHost(), port: started.getPort(), user: 'root', password };
    const answer = await askServer(account);
    if ('refusal' in answer) {
      throw new MysqlUnavailable(
        `A container of ${image} is up, but ${account.host}:${account.port} does not let us in (${answer.refusal}): ` +
          'set TESTCONTAINERS_HOST_OVERRIDE to the address at which this machine reaches the engine.',
      );
    }
    return { source: 'docker', ...account, ...answer, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    if (error instanceof MysqlUnavailable) throw error;
    const said = log.trim() ? `; the server said: ${serverWords(log)}` : '';
    throw new MysqlUnavailable(`A container of ${image} did not start (${wordsOf(error)}${said}).`);
  }
}

/** Ends and removes a container with its volumes, if it is there; never throws. */
async function remove(container: { remove(options: object): Promise<unknown> }): Promise<void> {
  await container.remove({ force: true, v: true }).catch(() => undefined);
}

function containerName(): string {
  return `backend-katas-${randomBytes(8).toString('hex')}`;
}

function wordsOf(error: unknown): string {
  const { message, json } = error as { message?: string; json?: { message?: string } };
  return (json?.message ?? message ?? String(error)).trim().replace(/\.$/, '');
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
