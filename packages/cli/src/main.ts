#!/usr/bin/env node
// The only file that takes signals and ends the process. The program itself is loaded after the
// check, because an older Node could not even read it.

const MINIMUM = [20, 19] as const;
/** Below this, two signals are one: a terminal and npm both deliver the same Ctrl-C. */
const SAME_SIGNAL_MS = 1_000;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < MINIMUM[0] || (major === MINIMUM[0] && minor < MINIMUM[1])) {
  console.error(`✖ Node ${MINIMUM.join('.')} or newer is needed, this is ${process.version}`);
  process.exit(1);
}

const { runProgram } = await import('./program.ts');
const stop = new AbortController();
let askedAt = 0;

function onSignal(): void {
  if (!stop.signal.aborted) {
    askedAt = performance.now();
    stop.abort();
  } else if (performance.now() - askedAt > SAME_SIGNAL_MS) process.exit(130);
}

/** A reader of the output that goes away must not take a cluster or an import with it. */
let outlivesReader = false;
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
    if (!outlivesReader) process.exit();
  });

await runProgram(process.argv.slice(2), {
  version: '0.1.0',
  signal: stop.signal,
  // Other commands end at the first signal, as programs do that take none.
  onStoppable: (isWork) => {
    outlivesReader = isWork;
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onSignal);
  },
});
