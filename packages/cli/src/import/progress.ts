import type { Writable } from 'node:stream';
import { MultiBar } from 'cli-progress';

/** How often a stream that is no terminal gets a line, and a silent cluster is told. */
const LINE_EVERY_MS = 3_000;
/** The rate is of the last seconds: an average since the start hides a cluster that slowed down. */
const RATE_WINDOW_MS = 5_000;

export interface ProgressOptions {
  /** Units of `done`; undefined when the end is not known. */
  readonly total: number | undefined;
  readonly stream: Writable & { readonly isTTY?: boolean };
  readonly now?: () => number;
}

interface Sample {
  readonly at: number;
  readonly count: number;
}

/** A bar on a terminal and a line every few seconds elsewhere. `stop` leaves nothing running. */
export class Progress {
  readonly #total: number | undefined;
  readonly #stream: ProgressOptions['stream'];
  readonly #now: () => number;
  readonly #bars: MultiBar | undefined;
  readonly #update: (text: string, done: number) => void;
  readonly #timer: NodeJS.Timeout;
  #samples: Sample[];
  #text = '';
  #done = 0;

  constructor({ total, stream, now = () => performance.now() }: ProgressOptions) {
    this.#total = total;
    this.#stream = stream;
    this.#now = now;
    this.#samples = [{ at: now(), count: 0 }];
    if (stream.isTTY === true) {
      // Its own handling of signals would end the process before a batch on its way is answered.
      const bars = new MultiBar({
        stream: stream,
        format: total === undefined ? '  {text}' : '  {bar} {percentage} %  {text}',
        barCompleteChar: '█',
        barIncompleteChar: '░',
        barsize: 24,
        hideCursor: true,
        clearOnComplete: true,
        gracefulExit: false,
      });
      const bar = bars.create(total ?? 1, 0, { text: '' });
      this.#bars = bars;
      this.#update = (text, done) => bar.update(Math.min(done, total ?? 0), { text });
      this.#timer = setInterval(() => {
        if (this.#silenceMs > LINE_EVERY_MS) this.#update(this.#told(), this.#done);
      }, LINE_EVERY_MS);
    } else {
      this.#update = () => undefined;
      this.#timer = setInterval(() => {
        if (this.#text !== '') stream.write(`${this.#told()}\n`);
      }, LINE_EVERY_MS);
    }
  }

  /** `done` is in units of the total, `count` in observations. */
  report(done: number, count: number): void {
    const at = this.#now();
    this.#samples.push({ at, count });
    while ((this.#samples[1]?.at ?? at) < at - RATE_WINDOW_MS) this.#samples.shift();
    const [first = { at, count }] = this.#samples;
    const rate = ((count - first.count) / Math.max(1, at - first.at)) * 1000;
    this.#text = this.#textOf(done, count, rate);
    this.#done = done;
    this.#update(this.#text, done);
  }

  /** A line that stays, above the bar. */
  note(text: string): void {
    if (this.#bars === undefined) this.#stream.write(`${text}\n`);
    else this.#bars.log(`${text}\n`);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#bars?.stop();
  }

  get #silenceMs(): number {
    return this.#now() - this.#samples.at(-1)!.at;
  }

  /** What was true when it was reported, and that nothing came since: else an outage looks like work. */
  #told(): string {
    const silent = `   nothing is acknowledged for ${whole(this.#silenceMs / 1000)} s`;
    return this.#silenceMs > LINE_EVERY_MS ? this.#text + silent : this.#text;
  }

  #textOf(done: number, count: number, rate: number): string {
    const told = `${whole(count)}  ${whole(rate)}/s`;
    if (this.#total === undefined || this.#total === 0) return told;
    const percent = this.#bars === undefined ? `${whole((done / this.#total) * 100)} %  ` : '';
    const perUnit = done === 0 ? 0 : count / done;
    const left = rate === 0 ? 0 : ((this.#total - done) * perUnit) / rate;
    return `${percent}${told}${left < 1 ? '' : `  ${timeLeft(left)}`}`;
  }
}

/** 14,204 */
export function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function timeLeft(value: number): string {
  if (value < 120) return `${whole(value)} s left`;
  return `${whole(value / 60)} min left`;
}
