// What an error code means to who meets it, for `/problems/{code}` and the command line.

import { ERRORS, type ErrorCode, type Retry } from './errors.ts';

/** What a code of the table means, whether to repeat and what to do. */
export interface Explanation {
  readonly code: ErrorCode;
  /** What happened. */
  readonly title: string;
  /** Over HTTP. */
  readonly status: number;
  readonly retry: Retry;
  /** Whether the same request may be taken later as it is. */
  readonly retryable: boolean;
  /** What to do, as one or two sentences. */
  readonly advice: string;
}

const ADVICE: Record<Retry, string> = {
  never: 'The same request is refused again: change what detail, errors and hint name.',
  'same-owner': 'Wait as long as Retry-After says, then send the same request again.',
  'after-reroute': 'A shard is changing: send the same request again in a few seconds.',
};

/** Where the advice for all of a kind would say too little. */
const ADVICE_FOR: Partial<Record<ErrorCode, string>> = {
  DIMENSION_MISMATCH:
    'Embed with the model that the space was made for, or make another space with this dimension.',
  ZERO_EMBEDDING: 'Leave the observation out, or make the space with the metric l2 or ip.',
  BATCH_TOO_LARGE: 'Split the batch: 10,000 observations go into one request.',
  BODY_TOO_LARGE: 'Send smaller batches, or embeddings as bytes (MessagePack, frame) or base64.',
  OBSERVATION_TOO_LARGE: 'Shorten its metadata: the embedding has to fit beside it.',
  SPACE_NOT_FOUND: 'Make the space first: PUT /v1/spaces/{space}, or engram spaces create.',
  SPACE_DIFFERS: 'Use the space as it is, or another name; options cannot be changed later.',
  SPACE_DAMAGED: 'Make the space again with the options it had; its entries are still in the log.',
  DEAD_LETTER_CUT: 'Write its observations again from their source: too little of it was kept.',
  IDEMPOTENCY_KEY_REUSED: 'Use a new Idempotency-Key for each new body.',
  BACKPRESSURE:
    'Wait as long as Retry-After says, then send batches of at most batchMax observations. When it lasts, add a shard.',
  LOG_UNAVAILABLE:
    'Repeat it with the same Idempotency-Key: whether it is stored is not known. When it lasts, look at NATS: engram doctor.',
  PARTITION_UNAVAILABLE:
    'Repeat it in a few seconds. When it lasts, look for a shard that is gone or stands still: engram doctor.',
  POSITION_NOT_REACHED: 'Repeat it, or give it more time with waitMs.',
  POSITION_EXPIRED: 'Ask without asOf, and take the watermark of that answer.',
  CURSOR_EXPIRED: 'Ask again from the beginning; read a stream without long pauses.',
  SEGMENT_DAMAGED: 'Repeat it in a few seconds: the shard restores the space meanwhile.',
  CHECKPOINT_DAMAGED:
    'Nothing to do while the one before it and the log are there; else bring the blobs back from a backup.',
  FENCED: 'Nothing to do: another shard has taken the partition over.',
  MEMORY_LIMIT: 'Add a shard, or delete what is not needed: deletes are always taken.',
  WORKER_CRASHED:
    'Keep the dead letter for a report, and purge it: engram dlq show, engram dlq purge.',
  ANSWER_TOO_LARGE:
    'Ask for fewer results, or for less of them with include; or stream the recall.',
  LOG_FULL:
    'Raise ENGRAM_LOG_BYTES_MAX or give NATS more disk. Checkpoints make room by themselves while shards are well.',
  MEMBER_ID_TAKEN: 'Give each process an ENGRAM_MEMBER_ID of its own.',
  CLUSTER_DIFFERS:
    'Start with the ENGRAM_PARTITIONS and ENGRAM_STRIPES that the cluster was made with, or on an empty NATS.',
  INTERNAL: "This is a fault of ours: the gateway's log has it with its stack.",
};

export function explainError(code: ErrorCode): Explanation {
  const { title, status, retry } = ERRORS[code];
  const advice = ADVICE_FOR[code] ?? ADVICE[retry];
  return { code, title, status, retry, retryable: retry !== 'never', advice };
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERRORS, value);
}
