/** Why a local cluster could not be had; `up` decides by it what to print and how to end. */
export type SetupFault =
  | 'BINARY_MISSING'
  | 'PORT_IN_USE'
  | 'DATA_DIR_UNUSABLE'
  | 'PARTITIONS_DIFFER'
  | 'ALREADY_RUNNING'
  | 'START_FAILED';

/**
 * A failure of the machine or of its settings, not of the cluster: something the person at the
 * keyboard can put right. The message is a whole sentence, the hint is what to type or do.
 */
export class SetupError extends Error {
  override readonly name = 'SetupError';
  readonly fault: SetupFault;
  readonly hint: string | undefined;

  constructor(
    fault: SetupFault,
    message: string,
    options: { readonly hint?: string; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.fault = fault;
    this.hint = options.hint;
  }
}

/** The text of anything thrown, for a sentence. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The code of a system error (`ENOENT`, `EACCES`, …), when it is one. */
export function systemCode(thrown: unknown): string | undefined {
  const code = thrown instanceof Error ? (thrown as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' ? code : undefined;
}
