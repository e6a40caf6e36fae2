import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startNatsServer, type ServerProcess } from '@engram/local-cluster';
import {
  LogConnection,
  ObjectBlobs,
  PartitionRegister,
  type PartitionRecord,
  type StoredCheckpoint,
} from '@engram/log';
import type { MemberId, PartitionId } from '@engram/model';
import { headers, type ObjectInfo } from 'nats';
import { systemClock } from '@engram/runtime';
import { createLogger } from '@engram/runtime/logger';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tempDir } from '../support/temp-dir.ts';

const STREAM = 'OBJ_engram-checkpoints';
const MIB = 1024 * 1024;

let folder: Awaited<ReturnType<typeof tempDir>>;
let server: ServerProcess;
let connection: LogConnection;
let blobs: ObjectBlobs;
let register: PartitionRegister;

beforeAll(async () => {
  folder = await tempDir();
  server = await startNatsServer({ dataDir: join(folder.path, 'nats'), partitionCount: 8 });
  connection = await LogConnection.start({
    url: server.url,
    name: 'test',
    connectTimeoutMs: 10_000,
    clock: systemClock,
    logger: createLogger('test', 'test', 'silent'),
  });
  blobs = await ObjectBlobs.start(connection, 1);
  register = await PartitionRegister.start(connection, 1);
});

afterAll(async () => {
  await connection.close();
  await server.close();
  await folder[Symbol.asyncDispose]();
});

const pathOf = (name: string) => join(folder.path, name);

function file(name: string, bytes: number): Buffer {
  const content = randomBytes(bytes);
  writeFileSync(pathOf(name), content);
  return content;
}

const jsm = () => connection.nc.jetstreamManager({ checkAPI: false });
const messages = async () => (await (await jsm()).streams.info(STREAM)).state.messages;

describe('blobs in an object store', () => {
  test.each([0, 1, 300_000, 4 * MIB, 9 * MIB + 7])(
    'a file of %i bytes comes back as it was',
    async (bytes) => {
      const name = `1.1.${bytes}`;
      const content = file(name, bytes);
      await blobs.save(name, pathOf(name));
      expect(await blobs.names()).toContain(name);
      expect(await blobs.has(name)).toBe(true);
      const consumers = async () => (await (await jsm()).streams.info(STREAM)).state.consumer_count;
      const before = await consumers();
      expect(await blobs.fetch(name, pathOf('back'))).toBe(true);
      expect(await consumers()).toBe(before);
      expect(readFileSync(pathOf('back')).equals(content)).toBe(true);
      await blobs.remove(name);
      expect(await blobs.names()).not.toContain(name);
      expect(await blobs.has(name)).toBe(false);
      expect(await blobs.fetch(name, pathOf('back'))).toBe(false);
    },
  );

  test('what somebody deleted by the means of NATS is not there', async () => {
    file('5.1.a', 1_000);
    await blobs.save('5.1.a', pathOf('5.1.a'));
    const { views } = connection.nc.jetstream();
    await (await views.os('engram-checkpoints')).delete('5.1.a/0');
    expect(await blobs.has('5.1.a')).toBe(false);
    expect(await blobs.fetch('5.1.a', pathOf('back'))).toBe(false);
    await blobs.save('5.1.a', pathOf('5.1.a'));
    expect(await blobs.has('5.1.a')).toBe(true);
    expect(await blobs.fetch('5.1.a', pathOf('back'))).toBe(true);
    await blobs.remove('5.1.a');
  });

  test('a bucket that was deleted has nothing, and is made again for what is stored next', async () => {
    const content = file('3.1.a', 300_000);
    await blobs.save('3.1.a', pathOf('3.1.a'));
    await (await jsm()).streams.delete(STREAM);
    expect(await blobs.fetch('3.1.a', pathOf('back'))).toBe(false);
    expect(await blobs.has('3.1.a')).toBe(false);
    await blobs.remove('3.1.a');
    await blobs.save('3.1.a', pathOf('3.1.a'));
    expect(await blobs.names()).toEqual(['3.1.a']);
    expect(await blobs.fetch('3.1.a', pathOf('back'))).toBe(true);
    expect(readFileSync(pathOf('back')).equals(content)).toBe(true);
    await blobs.remove('3.1.a');
  });

  test('what is removed leaves no message behind (B2), and what is not there is no error', async () => {
    const before = await messages();
    file('2.1.a', 5 * MIB);
    await blobs.save('2.1.a', pathOf('2.1.a'));
    expect(await messages()).toBeGreaterThan(before);
    await blobs.remove('2.1.a');
    expect(await messages()).toBe(before);
    await blobs.remove('2.1.a');
  });

  test('a file that is saved again takes the place of the one before', async () => {
    file('2.1.b', 5 * MIB);
    await blobs.save('2.1.b', pathOf('2.1.b'));
    await blobs.save('2.1.b', pathOf('2.1.b'));
    expect(await blobs.fetch('2.1.b', pathOf('back'))).toBe(true);
    expect(readFileSync(pathOf('back')).equals(readFileSync(pathOf('2.1.b')))).toBe(true);
  });

  test('a piece that lost its bytes is damaged, and nobody waits for them (B3)', async () => {
    file('3.1.a', 200_000);
    await blobs.save('3.1.a', pathOf('3.1.a'));
    const { subjects } = (
      await (await jsm()).streams.info(STREAM, { subjects_filter: '$O.engram-checkpoints.C.>' })
    ).state;
    for (const subject of Object.keys(subjects!))
      await (await jsm()).streams.purge(STREAM, { filter: subject, keep: 1 });
    await expect(blobs.fetch('3.1.a', pathOf('back'))).rejects.toMatchObject({
      code: 'CHECKPOINT_DAMAGED',
      details: { blob: '3.1.a' },
    });
  });

  test('the library of NATS reads what is stored here, and what it stores is read here', async () => {
    const content = file('6.1.a', 300_000);
    await blobs.save('6.1.a', pathOf('6.1.a'));
    const { views } = connection.nc.jetstream();
    const store = await views.os('engram-checkpoints');
    expect(Buffer.from((await store.getBlob('6.1.a/0'))!).equals(content)).toBe(true);
    const other = randomBytes(200_000);
    await store.putBlob({ name: '6.1.b/0' }, other);
    expect(await blobs.fetch('6.1.b', pathOf('back'))).toBe(true);
    expect(readFileSync(pathOf('back')).equals(other)).toBe(true);
  });

  test('a piece with other bytes than were stored is damaged (B3)', async () => {
    file('7.1.a', 1_000);
    await blobs.save('7.1.a', pathOf('7.1.a'));
    const { views } = connection.nc.jetstream();
    const { nuid } = (await (await views.os('engram-checkpoints')).info('7.1.a/0'))!;
    const filter = `$O.engram-checkpoints.C.${nuid}`;
    await (await jsm()).streams.purge(STREAM, { filter });
    await connection.nc.jetstream().publish(filter, randomBytes(1_000));
    await expect(blobs.fetch('7.1.a', pathOf('back'))).rejects.toMatchObject({
      code: 'CHECKPOINT_DAMAGED',
    });
  });

  const aboutOf = (piece: string) =>
    `$O.engram-checkpoints.M.${Buffer.from(piece).toString('base64')}`;
  test.each<readonly [string, (told: ObjectInfo) => unknown]>([
    ['tells of more bytes than there can be', (told) => ({ ...told, size: 1e15 })],
    ['leads elsewhere', (told) => ({ ...told, nuid: '>' })],
    ['lacks the rest', ({ name, nuid }) => ({ name, nuid })],
    ['is nothing', () => null],
    ['is no JSON', () => undefined],
  ])('a piece whose description %s is damaged (B3), and can be removed', async (_what, told) => {
    file('8.1.a', 1_000);
    const before = await messages();
    await blobs.save('8.1.a', pathOf('8.1.a'));
    const { views } = connection.nc.jetstream();
    const info = (await (await views.os('engram-checkpoints')).info('8.1.a/0'))!;
    const { name, nuid, chunks, digest, mtime, size } = info;
    const spoiled = told({ name, nuid, chunks, digest, mtime, size } as ObjectInfo);
    const replaced = headers();
    replaced.set('Nats-Rollup', 'sub');
    const text = JSON.stringify(spoiled) ?? '{';
    await connection.nc.jetstream().publish(aboutOf('8.1.a/0'), text, { headers: replaced });
    await expect(blobs.fetch('8.1.a', pathOf('back'))).rejects.toMatchObject({
      code: 'CHECKPOINT_DAMAGED',
    });
    expect(await blobs.names()).toContain('8.1.a');
    await blobs.remove('8.1.a');
    expect(await messages()).toBe(before);
  });

  test('what a save leaves that is cut off has a name, and can be removed or saved again', async () => {
    const before = await messages();
    const content = file('9.1.a', 200_000);
    const cutOff = async () => {
      await blobs.save('9.1.a', pathOf('9.1.a'));
      await (await jsm()).streams.purge(STREAM, { filter: aboutOf('9.1.a/0') });
    };
    await cutOff();
    expect(await blobs.has('9.1.a')).toBe(false);
    expect(await blobs.names()).toContain('9.1.a');
    await blobs.remove('9.1.a');
    expect(await messages()).toBe(before);
    await cutOff();
    await blobs.save('9.1.a', pathOf('9.1.a'));
    expect(await messages()).toBe(before + 3);
    expect(await blobs.fetch('9.1.a', pathOf('back'))).toBe(true);
    expect(readFileSync(pathOf('back')).equals(content)).toBe(true);
    await blobs.remove('9.1.a');
  });

  test('a file that is not there is not saved', async () => {
    await expect(blobs.save('4.1.a', pathOf('missing'))).rejects.toThrow();
    expect(await blobs.names()).not.toContain('4.1.a');
  });
});

describe('the register of partitions', () => {
  const current: StoredCheckpoint = {
    name: `5.1.${randomUUID()}`,
    bytes: 1,
    crc: 1,
    watermark: 30,
    writtenAtMs: 0,
  };
  const record = (epoch: number, writer: string): PartitionRecord => ({
    epoch,
    writer: writer as MemberId,
    claim: `claim of ${writer}`,
    trimmedTo: 0,
  });
  const p = (partition: number) => partition as PartitionId;

  test('M1, M2: of two that take a partition over one fails, and the one before is fenced', async () => {
    expect(await register.find(p(1))).toBeUndefined();
    const first = await register.write(p(1), record(1, 'a'), undefined);
    const claims = await Promise.allSettled(
      ['b', 'c', 'd'].map((writer) => register.write(p(1), record(2, writer), first)),
    );
    expect(claims.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const claim of claims)
      if (claim.status === 'rejected') expect(claim.reason).toMatchObject({ code: 'FENCED' });
    await expect(register.write(p(1), record(1, 'a'), first)).rejects.toMatchObject({
      code: 'FENCED',
      details: { epoch: 2 },
    });
    expect((await register.find(p(1)))?.record?.epoch).toBe(2);
  });

  test('two that make the first record of a partition: one fails', async () => {
    const claims = await Promise.allSettled(
      ['a', 'b'].map((writer) => register.write(p(2), record(1, writer), undefined)),
    );
    expect(claims.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  test('symptom: a writer whose record was removed or spoiled tried to write on it for ever', async () => {
    const kv = await connection.nc.jetstream().views.kv('engram-partitions');
    for (const spoil of [() => kv.delete('4'), () => kv.put('4', 'garbage')]) {
      const before = await register.find(p(4));
      const first = await register.write(p(4), record(1, 'a'), before);
      await spoil();
      await expect(register.write(p(4), record(1, 'b'), first)).rejects.toMatchObject({
        code: 'FENCED',
      });
    }
  });

  test('M3: a log that was trimmed does not look whole without its record, or with one that says less', async () => {
    const first = await register.write(
      p(5),
      { ...record(1, 'a'), current, trimmedTo: 20 },
      undefined,
    );
    for (const upTo of [10, 20, 15]) await register.removing(p(5), upTo);
    expect(await register.find(p(5))).toEqual(first);
    const kv = await connection.nc.jetstream().views.kv('engram-partitions');
    await kv.put('5', JSON.stringify({ ...record(9, 'forger'), current }));
    expect((await register.find(p(5)))?.record?.trimmedTo).toBe(20);
    await kv.put('5', JSON.stringify(record(9, 'forger')));
    expect(await register.find(p(5))).toMatchObject({ record: undefined, removedTo: 20 });
    await kv.delete('5');
    const lost = await register.find(p(5));
    expect(lost).toEqual({ record: undefined, revision: undefined, removedTo: 20 });
    const again = { ...record(2, 'a'), current, trimmedTo: 20 };
    expect((await register.write(p(5), again, lost)).record).toEqual(again);
  });

  test.each(['engram-partitions', 'engram-removed'])(
    '%s is made again when it was deleted, and a writer is fenced as when its record was lost',
    async (bucket) => {
      const partition = p(bucket === 'engram-removed' ? 6 : 7);
      const its = { ...current, name: `${partition}.1.${randomUUID()}` };
      const first = await register.write(
        partition,
        { ...record(1, 'a'), current: its, trimmedTo: 20 },
        undefined,
      );
      await register.removing(partition, 20);
      await (await jsm()).streams.delete(`KV_${bucket}`);
      const found = await register.find(partition);
      if (bucket === 'engram-removed') return expect(found).toEqual(first);
      expect(found).toMatchObject({ record: undefined, removedTo: 20 });
      await expect(register.write(partition, record(2, 'a'), first)).rejects.toMatchObject({
        code: 'FENCED',
      });
      expect((await register.write(partition, record(2, 'a'), found)).record.epoch).toBe(2);
    },
  );

  test('a write whose answer was lost is known as our own when it is repeated', async () => {
    const first = await register.write(p(3), record(1, 'a'), undefined);
    const second = await register.write(p(3), record(2, 'a'), first);
    // As after a timeout: the same record again, on top of what was read before.
    expect(await register.write(p(3), record(2, 'a'), first)).toEqual(second);
  });
});
