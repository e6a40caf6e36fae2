// What one observation costs, as measured on one machine. The shape is a value, so that a file is checked
// against the same thing that the type is made of.

const STAGE = { perBatchUs: 'amount', perObservationUs: 'amount', perByteUs: 'amount' } as const;
const LINEAR = { fixedBytes: 'amount', perDimensionBytes: 'amount' } as const;

const SHAPE = {
  /** Where and when it was measured. */
  machine: {
    cpu: 'text',
    cores: 'amount',
    node: 'text',
    natsServer: 'text',
    redisServer: 'text',
    /** Of the repository. */
    commit: 'text',
    date: 'text',
  },
  /** Processor time in microseconds: for each frame, each observation in it, each of its bytes. */
  cpu: {
    /** The load generator of the measurement: no part of a cluster, but of the machine it ran on. */
    client: STAGE,
    /** Receiving, checking, publishing and answering. */
    gateway: STAGE,
    /** nats-server: storing a frame once. */
    store: STAGE,
    /** nats-server: one delivery to a shard, with what the wait for it costs there. */
    deliver: STAGE,
    /** A shard: from its feed until recalls see the batch. */
    apply: STAGE,
    /** One insertion into a graph: a + b · dimension + c · log2(rows in it). */
    graph: { fixedUs: 'amount', perDimensionUs: 'amount', perDoublingUs: 'amount' },
    /** Of the time of a gateway and of a shard, what their main threads do; the rest is other threads'. */
    gatewayMainShare: 'part',
    applyMainShare: 'part',
    /** Standard deviation over mean of what one batch takes. */
    variation: 'variation',
    /** What a batch takes more where it finds nothing going on: waking up, cold caches, nothing to share. */
    wakeUs: { gateway: 'amount', log: 'amount', shard: 'amount' },
    /** Of one core, by what has nothing to do; a shard without its workers, which poll. */
    idle: { gateway: 'share', shard: 'share', worker: 'share', nats: 'share', redis: 'share' },
  },
  /** Of observe→searchable at rest, what is no processor time: timers, wake-ups, the file system. */
  waitMs: 'amount',
  /** Private memory of a shard. */
  memory: {
    /** Of an observation in a growing segment, its graph included. */
    growing: LINEAR,
    /** Of one in a sealed segment, whose rows and graph are files. */
    sealed: LINEAR,
    perSpaceBytes: 'amount',
    shardBytes: 'amount',
    gatewayBytes: 'amount',
  },
  /** Of an observation without metadata. */
  log: LINEAR,
  disk: {
    /** In a shard's data folder, once sealed. */
    folder: LINEAR,
    /** In the blob store, all copies of a partition together. */
    checkpoint: LINEAR,
  },
} as const;

type Leaf = 'text' | 'amount' | 'share' | 'part' | 'variation';
interface Shape {
  readonly [name: string]: Leaf | Shape;
}
type Checked<S> = S extends 'text'
  ? string
  : S extends Leaf
    ? number
    : { readonly [Name in keyof S]: Checked<S[Name]> };

/** Measured by `pnpm bench capacity`. */
export type Coefficients = Checked<typeof SHAPE>;
export type StageCost = Checked<typeof STAGE>;
export type LinearBytes = Checked<typeof LINEAR>;

/**
 * Takes them by themselves, or the results of the bench that hold them.
 * @throws RangeError that names the first field that is wrong
 */
export function parseCoefficients(value: unknown): Coefficients {
  const found = within(within(value, 'capacity'), 'coefficients');
  check(found, SHAPE, '');
  const coefficients = found as Coefficients;
  // What costs nothing could be done without end.
  for (const stage of ['gateway', 'store', 'deliver', 'apply'] as const) {
    const { perBatchUs, perObservationUs, perByteUs } = coefficients.cpu[stage];
    if (perBatchUs + perObservationUs + perByteUs === 0)
      throw new RangeError(`cpu.${stage} must cost something`);
  }
  return coefficients;
}

function within(value: unknown, name: string): unknown {
  return isRecord(value) && name in value ? value[name] : value;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function check(value: unknown, shape: Shape, path: string): void {
  if (!isRecord(value)) throw new RangeError(`${path === '' ? 'it' : path} must be an object`);
  for (const [name, wanted] of Object.entries(shape)) {
    const at = path === '' ? name : `${path}.${name}`;
    const field = value[name];
    if (typeof wanted === 'object') check(field, wanted, at);
    else if (!FITS[wanted](field)) throw new RangeError(`${at} must be ${TOLD[wanted]}`);
  }
}

/** Microseconds, bytes or milliseconds: beyond any machine's, and sums of them are still numbers. */
const AMOUNT_MAX = 1e12;
const VARIATION_MAX = 10;

const isAmount = (value: unknown): value is number =>
  typeof value === 'number' && value >= 0 && value <= AMOUNT_MAX;

const FITS: Readonly<Record<Leaf, (value: unknown) => boolean>> = {
  text: (value) => typeof value === 'string',
  amount: isAmount,
  share: (value) => isAmount(value) && value <= 1,
  part: (value) => isAmount(value) && value > 0 && value <= 1,
  variation: (value) => isAmount(value) && value <= VARIATION_MAX,
};
const TOLD: Readonly<Record<Leaf, string>> = {
  text: 'a text',
  amount: `a number from 0 to ${AMOUNT_MAX}`,
  share: 'a number from 0 to 1',
  part: 'a number above 0, 1 at most',
  variation: `a number from 0 to ${VARIATION_MAX}`,
};
