import { ClusterError } from '@engram/model';

/** With its cause, where only that says what happened. */
export function faultText(error: unknown): string {
  const { message, cause } = ClusterError.from(error);
  return cause instanceof Error && !message.includes(cause.message)
    ? `${message}: ${cause.message}`
    : message;
}
