import { Command } from 'commander';
import { vi } from 'vitest';

export interface Ran {
  readonly out: string;
  readonly err: string;
  readonly code: number;
}

/** Runs a command as the shell would, and gives what it printed and its exit code. */
export async function runCommand(command: Command, args: readonly string[]): Promise<Ran> {
  let out = '';
  let err = '';
  const spies = [
    vi.spyOn(console, 'log').mockImplementation((text) => void (out += `${text}\n`)),
    vi.spyOn(console, 'error').mockImplementation((text) => void (err += `${text}\n`)),
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      err += String(text);
      return true;
    }),
  ];
  const before = process.exitCode;
  process.exitCode = undefined;
  try {
    await new Command('engram').addCommand(command).parseAsync([command.name(), ...args], {
      from: 'user',
    });
    return { out, err, code: Number(process.exitCode ?? 0) };
  } finally {
    process.exitCode = before;
    for (const spy of spies) spy.mockRestore();
  }
}
