import { Command } from 'commander';
import { parseArguments } from '../../foundations/command-line/parse-arguments.ts';
import { runCommand } from '../../foundations/command-line/run-command.ts';
import { inspectMachine } from './report.ts';
import { reportText } from './report-text.ts';
import { painter, say } from '../../foundations/command-line/terminal.ts';

const command = new Command('npm run doctor')
  .description('Tells what this machine has for the katas: Node, MySQL, room, and which katas can run. Starts nothing.')
  .option('--json', 'the same for a program')
  .addHelpText('after', '\nExit code: 0 every kata can run here, 1 one cannot, 2 wrong arguments.');

await runCommand(async () => {
  const { options } = parseArguments<{ json?: boolean }>(command);
  const report = await inspectMachine();
  say(options.json ? JSON.stringify(report, undefined, 2) : reportText(report, painter()));
  return report.katas.every(({ canRun }) => canRun) ? 0 : 1;
});
