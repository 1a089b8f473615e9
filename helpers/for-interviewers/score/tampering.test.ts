import { testTheCheats } from './score-the-cheats.ts';

await testTheCheats('permission-model');
