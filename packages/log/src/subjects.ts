import { isLane, LANES, type Lane, type PartitionId, type SpaceId } from '@engram/model';

// Subjects name data, never machines: obs.<partition>.<lane>.<space>. Every token that comes from
// outside was allow-listed before it gets here, because the `nats` package does not validate
// subjects and a CR LF in one would publish to another stream.

export function observationSubject(partition: PartitionId, lane: Lane, space: SpaceId): string {
  return `obs.${partition}.${lane}.${space}`;
}

/** Where anybody publishes: the server maps it to the partition. */
export function observeSubject(lane: Lane, space: SpaceId): string {
  return `observe.${lane}.${space}`;
}

/** All of one space's entries. */
export function spaceSubject(partition: PartitionId, space: SpaceId): string {
  return `obs.${partition}.*.${space}`;
}

/**
 * All entries of some partitions in one lane, for feeds.
 *
 * They end in `>` so that none of them is a part of what `trimSubject` names: nats-server (2.10.27) moves
 * a consumer with several filters on to the first entry that a purge left of its subject, when one of the
 * filters is a part of that, and past what it has not delivered yet of all the others.
 */
export function partitionSubjects(partitions: Iterable<PartitionId>, lane: Lane): string[] {
  return Array.from(partitions, (partition) => `obs.${partition}.${lane}.>`);
}

/** All entries of a partition, for removing some; see `partitionSubjects`. */
export function trimSubject(partition: PartitionId): string {
  return `obs.${partition}.*.*`;
}

export function stripeOf(partition: PartitionId, stripeCount: number): number {
  return partition % stripeCount;
}

export function streamName(stripe: number): string {
  return `OBS-${stripe}`;
}

/**
 * Exactly the subjects that some shard reads: a publish to an unknown lane or partition is refused
 * by the server, instead of being stored where nobody would ever look.
 */
export function streamSubjects(
  stripe: number,
  stripeCount: number,
  partitionCount: number,
): string[] {
  const subjects: string[] = [];
  for (let partition = stripe; partition < partitionCount; partition += stripeCount)
    for (const lane of LANES) subjects.push(`obs.${partition}.${lane}.*`);
  return subjects;
}

/** The parts of a subject in the log; the space is as the publisher wrote it, unchecked. */
export function parseSubject(
  subject: string,
): { readonly partition: PartitionId; readonly lane: Lane; readonly space: string } | undefined {
  const [prefix, partition, lane, space, ...rest] = subject.split('.');
  if (prefix !== 'obs' || space === undefined || rest.length > 0 || !isLane(lane)) return undefined;
  return { partition: Number(partition) as PartitionId, lane, space };
}
