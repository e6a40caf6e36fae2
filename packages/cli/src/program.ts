import { Command, CommanderError } from 'commander';
import { dlqCommand } from './commands/dlq.ts';
import { doctorCommand } from './commands/doctor.ts';
import { downCommand } from './commands/down.ts';
import { explainCommand } from './commands/explain.ts';
import { importCommand } from './commands/import.ts';
import { keysCommand } from './commands/keys.ts';
import { loadCommand } from './commands/load.ts';
import { planCommand } from './commands/plan.ts';
import { putCommand } from './commands/put.ts';
import { recallCommand } from './commands/recall.ts';
import { ringCommand } from './commands/ring.ts';
import { spacesCommand } from './commands/spaces.ts';
import { statusCommand } from './commands/status.ts';
import { tailCommand } from './commands/tail.ts';
import { topCommand } from './commands/top.ts';
import { upCommand } from './commands/up.ts';
import { verifyCommand } from './commands/verify.ts';
import { EXIT } from './output.ts';

export interface ProgramOptions {
  readonly version: string;
  /** Aborts when the user asks the program to stop. */
  readonly signal: AbortSignal;
  /**
   * Told before a command runs that stops in its own time when the signal aborts.
   * @param isWork it does something, also when nobody reads what it says of it
   */
  readonly onStoppable: (isWork: boolean) => void;
}

/** Runs the command line to its end; the result is its exit code. */
export async function runProgram(args: readonly string[], options: ProgramOptions): Promise<void> {
  try {
    await makeProgram(options).parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Commander has said what is wrong; asking for help or the version is not a mistake.
    process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
}

function makeProgram({ version, signal, onStoppable }: ProgramOptions): Command {
  const stoppable = [
    upCommand(signal),
    importCommand(signal),
    topCommand(signal),
    tailCommand(signal),
    loadCommand(signal),
  ] as const;
  const [up, importing, top, tail, load] = stoppable;
  const program = new Command('engram')
    .description('a sharded store for vector observations')
    .version(version)
    .addCommand(up)
    .addCommand(downCommand())
    .addCommand(statusCommand())
    .addCommand(ringCommand())
    .addCommand(spacesCommand())
    .addCommand(putCommand())
    .addCommand(importing)
    .addCommand(recallCommand())
    .addCommand(verifyCommand())
    .addCommand(dlqCommand())
    .addCommand(tail)
    .addCommand(top)
    .addCommand(doctorCommand())
    .addCommand(explainCommand())
    .addCommand(planCommand())
    .addCommand(load)
    .addCommand(keysCommand())
    .hook('preAction', (_, command) => {
      if (stoppable.some((each) => each === command))
        onStoppable(command === up || command === importing);
    })
    .addHelpText(
      'after',
      `
Examples:
  $ engram up                                a cluster on this machine, with demo data
  $ engram recall words --id coffee          what is near to a word
  $ engram import notes notes.ndjson --create
  $ engram status
  $ engram COMMAND --help                    more about a command`,
    );
  settle(program);
  return program;
}

/** Settings that commander hands down only to commands that it makes itself. */
function settle(command: Command): void {
  command.exitOverride().showHelpAfterError('(--help shows how it is used)');
  for (const each of command.commands) settle(each);
}
