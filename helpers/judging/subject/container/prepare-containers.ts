import { UserError } from '../../../foundations/command-line/user-error.ts';
import { adoptEngine } from '../../../foundations/docker/docker-engine.ts';
import { nodeImage, wordsOf } from './container.ts';

/** Why no subject can run in a container here, and what to do about it; undefined where it can. */
export async function noContainers(): Promise<string | undefined> {
  if (process.platform !== 'linux')
    return 'it needs Linux, for the judge and the container talk through sockets in a folder. Use the permission model here, or score on Linux.';
  const engine = await adoptEngine();
  return 'why' in engine ? `${engine.why}. ${engine.remedy}` : undefined;
}

/**
 * Makes sure that containers can be had: asks the engine, and pulls the image when it is not there.
 * @throws UserError that says what is missing
 */
export async function prepareContainers(onProgress: (line: string) => void): Promise<void> {
  const why = await noContainers();
  if (why !== undefined) throw new UserError(`The sandbox "docker" is not available: ${why}`);
  const image = nodeImage();
  try {
    const { ImageName, getContainerRuntimeClient } = await import('testcontainers');
    const client = await getContainerRuntimeClient();
    const name = ImageName.fromString(image);
    if (await client.image.exists(name)) return;
    onProgress(`docker: pulling ${image}, once`);
    await client.image.pull(name);
  } catch (error) {
    throw new UserError(
      `Docker answers, but the image ${image} cannot be pulled (${wordsOf(error)}): run "docker pull ${image}" where the registry can be reached, or set NODE_IMAGE to an image of Node that is here.`,
    );
  }
}
