import { noContainers } from '../../judging/subject/container/prepare-containers.ts';
import { testTheCheats } from './score-the-cheats.ts';

await testTheCheats('docker', await noContainers());
