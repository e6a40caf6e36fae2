import { MessageChannel } from 'node:worker_threads';

const nowhere = new MessageChannel().port1;
nowhere.close();

/**
 * Gives memory back at once; nothing may read it any more. The garbage collector would wait until a
 * thread has 64 MiB of it, and a thread that does little else never collects. What is moved to a port
 * that is closed is gone; `ArrayBuffer.prototype.transfer(0)` would say it better, from Node.js 22 on.
 */
export function freeBuffers(buffers: readonly ArrayBuffer[]): void {
  nowhere.postMessage(undefined, buffers);
}
