import { connect } from 'node:net';
import { LOOPBACK } from './loopback-port.ts';

const PROBE_DEADLINE_MS = 1_000;
const ANSWER_BYTES_MAX = 64 * 1024;

/**
 * Sends a text to a loopback port and tells whether what comes back is as expected; false for
 * every failure, a refused connection above all.
 */
export function answers(
  port: number,
  question: string,
  expected: (answer: string) => boolean,
): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: LOOPBACK, port });
    let answer = '';
    const settle = (result: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => settle(false), PROBE_DEADLINE_MS);
    socket.setEncoding('utf8');
    socket.once('connect', () => socket.write(question));
    socket.on('data', (text: string) => {
      answer += text;
      if (expected(answer)) settle(true);
      else if (answer.length > ANSWER_BYTES_MAX) settle(false);
    });
    socket.once('error', () => settle(false));
    socket.once('close', () => settle(false));
  });
}
