import { expect, test } from 'vitest';
import type { FastifyRequest } from 'fastify';
import { problemDocument } from '../src/http/problem.ts';

function refused(url: string, contentType?: string): object {
  const headers = contentType === undefined ? {} : { 'content-type': contentType };
  const request = { headers, routeOptions: { url } } as unknown as FastifyRequest;
  return problemDocument({ code: 'FST_ERR_CTP_INVALID_MEDIA_TYPE' }, request);
}

test('415 lists the types that are known, also where the body has none', () => {
  expect(refused('/v1/spaces/:space/observations')).toMatchObject({
    code: 'UNSUPPORTED_MEDIA_TYPE',
    detail: 'the body has no content type',
    hint: expect.stringMatching(/^send one of application\/json, .*ndjson.*msgpack/) as string,
  });
  expect(refused('/v1/spaces/:space/recall', 'text/plain')).toMatchObject({
    detail: 'the content type text/plain is not known here',
    hint: 'send application/json',
  });
});
