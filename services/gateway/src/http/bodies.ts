import { promisify } from 'node:util';
import { gunzip, type InputType, type ZlibOptions } from 'node:zlib';
import { CONTENT_TYPES, parseJson } from '@engram/codec';
import { ClusterError } from '@engram/model';
import type { FastifyInstance, FastifyRequest } from 'fastify';

const inflate = promisify<InputType, ZlibOptions, Buffer>(gunzip);

/** Bodies of the routes that take a JSON object: parsed, with the byte named where JSON breaks. */
export function takeJson(app: FastifyInstance, bytesMax: number): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    CONTENT_TYPES.json,
    { parseAs: 'buffer' },
    async (request: FastifyRequest, body: Buffer) =>
      parseJson(await decompress(request, body, bytesMax)),
  );
}

/** Bodies of the routes that take observations: bytes, whatever their type says. */
export function takeBytes(app: FastifyInstance, bytesMax: number): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (request: FastifyRequest, body: Buffer) =>
    decompress(request, body, bytesMax),
  );
}

/** The limit holds for what comes out too: a kilobyte of gzip can hold a gigabyte. */
async function decompress(
  request: FastifyRequest,
  body: Buffer,
  bytesMax: number,
): Promise<Buffer> {
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding === 'identity') return body;
  if (encoding !== 'gzip')
    throw new ClusterError('UNSUPPORTED_MEDIA_TYPE', 'the content encoding is not known', {
      pointer: '#content-encoding',
      hint: 'send gzip or no encoding',
    });
  try {
    return await inflate(body, { maxOutputLength: bytesMax });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw new ClusterError('BODY_TOO_LARGE', `the body unpacks to more than ${bytesMax} bytes`, {
        cause,
      });
    throw new ClusterError('INVALID_BODY', 'the body is not gzip', { cause });
  }
}
