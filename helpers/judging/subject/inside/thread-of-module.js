// The entry of a thread whose file is the kata's module; thread.js has told Node what its text is.
import { moduleUrl } from './thread.js';

await import(moduleUrl);
