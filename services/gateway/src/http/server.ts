import type { Socket } from 'node:net';
import { STATUS_CODES } from 'node:http';
import type { DeadLetters, IdempotencyStore, LogConnection, SpaceDirectory } from '@engram/log';
import type { Membership } from '@engram/membership';
import type { ErrorCode } from '@engram/model';
import { Scope, type Logger } from '@engram/runtime';
import type { Tracing } from '@engram/tracing';
import { consolePage } from '@engram/console';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { Ajv } from 'ajv';
import Fastify, {
  LogController,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifySchemaCompiler,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerDefault,
} from 'fastify';
import type { Limits } from '../admission/limits.ts';
import type { OwnLoad } from '../admission/own-load.ts';
import type { RecentRefusals } from '../admission/recent-refusals.ts';
import type { WriteSlots } from '../admission/write-slots.ts';
import type { Authenticator } from '../auth/authenticator.ts';
import { guard } from '../auth/route-access.ts';
import type { SignalBoard } from '../admission/signal-board.ts';
import type { Router } from '../cluster/router.ts';
import type { GatewayConfig } from '../config.ts';
import type { Ingest } from '../ingest/ingest.ts';
import type { GatewayMetrics } from '../metrics.ts';
import type { Recall } from '../recall/recall.ts';
import type { Tailer } from '../tail/tailer.ts';
import type { Verifier } from '../verify/verifier.ts';
import type { Sessions } from '../ws/sessions.ts';
import { streamRoute, takeWebSockets } from '../ws/stream-route.ts';
import { takeBytes, takeJson } from './bodies.ts';
import { countBody, limitRequests } from './limit-requests.ts';
import { Port } from './port.ts';
import { listenerFor, schemeOf } from './listener.ts';
import { documentOf, draining, handleError, sendProblem } from './problem.ts';
import { clusterRoutes } from './routes/cluster.ts';
import { consoleRoute } from './routes/console.ts';
import { deadLetterRoutes } from './routes/dead-letters.ts';
import { healthRoutes } from './routes/health.ts';
import { metricsRoute } from './routes/metrics.ts';
import { observationRoutes } from './routes/observations.ts';
import { recallRoutes } from './routes/recall.ts';
import { spaceRoutes } from './routes/spaces.ts';
import { tailRoutes } from './routes/tail.ts';
import { verifyRoutes } from './routes/verify.ts';
import { withoutDefaultsRequired } from './schemas.ts';
import { traceRequests } from './trace-requests.ts';

/** What the routes work with. */
export interface Gateway {
  readonly config: GatewayConfig;
  readonly authenticator: Authenticator;
  readonly connection: LogConnection;
  readonly directory: SpaceDirectory;
  readonly idempotency: IdempotencyStore;
  readonly membership: Membership;
  readonly router: Router;
  readonly board: SignalBoard;
  readonly load: OwnLoad;
  readonly slots: WriteSlots;
  readonly refusals: RecentRefusals;
  readonly limits: Limits;
  readonly ingest: Ingest;
  readonly recall: Recall;
  readonly deadLetters: DeadLetters;
  readonly verifier: Verifier;
  readonly tailer: Tailer;
  readonly sessions: Sessions;
  readonly metrics: GatewayMetrics;
  readonly tracing: Tracing;
  readonly logger: Logger;
  /** Aborted once the gateway drains. */
  readonly stop: AbortSignal;
}

export type GatewayApp = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** A percent-encoded id of 256 bytes has three characters a byte. */
const PARAM_LENGTH_MAX = 1_024;
/** Of what is no write: the largest there can be has 64 spaces, a thousand positions and a filter. */
const JSON_BYTES_MAX = 1024 * 1024;

/** What a gateway serves, on one port or on several. */
export class HttpServer implements AsyncDisposable {
  readonly #ports: Scope;
  readonly url: string;

  private constructor(ports: Scope, url: string) {
    this.#ports = ports;
    this.url = url;
  }

  /** @throws the system's error when a port is taken */
  static async start(gateway: Gateway): Promise<HttpServer> {
    const { config, logger } = gateway;
    const scheme = schemeOf(config);
    const data = { scheme, host: config.ENGRAM_HTTP_HOST, port: config.ENGRAM_HTTP_PORT };
    const adminPort = config.ENGRAM_ADMIN_PORT;
    const ports = new Scope();
    try {
      if (adminPort !== undefined) {
        const admin = { scheme, host: config.ENGRAM_ADMIN_HOST, port: adminPort };
        const app = await buildApp(gateway, ['operators']);
        const { url } = await ports.own('operators', Port.open(app, admin));
        logger.info({ url }, 'operators are served');
      }
      const metricsPort = config.ENGRAM_METRICS_PORT;
      if (metricsPort !== undefined) {
        const place = { scheme, host: config.ENGRAM_METRICS_HOST, port: metricsPort };
        const { url } = await ports.own(
          'scrapers',
          Port.open(await buildApp(gateway, ['scrapers']), place),
        );
        logger.info({ url }, 'scrapers are served');
      }
      const audiences =
        adminPort === undefined ? (['users', 'operators'] as const) : (['users'] as const);
      const app = await buildApp(gateway, audiences);
      const { url } = await ports.own('users', Port.open(app, data));
      return new HttpServer(ports, url);
    } catch (error) {
      await ports.close();
      throw error;
    }
  }

  /** Refuses new requests and finishes those that run. */
  close(): Promise<void> {
    return this.#ports.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Whom a port serves. Users and operators are asked who they are; which port it is says what there is to ask
 * for.
 */
type Audience = 'users' | 'operators' | 'scrapers';

async function buildApp(gateway: Gateway, audiences: readonly Audience[]): Promise<GatewayApp> {
  const { config, metrics, authenticator } = gateway;
  const bytesMax = config.ENGRAM_BODY_BYTES_MAX;
  const jsonBytesMax = Math.min(bytesMax, JSON_BYTES_MAX);
  // Typed as fastify's own, or the logger's type would run through every route.
  const loggerInstance: FastifyBaseLogger = gateway.logger;
  const app = Fastify({
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: bytesMax,
    serverFactory: await listenerFor(config),
    routerOptions: { maxParamLength: PARAM_LENGTH_MAX },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => void handleError(error, request, reply),
    clientErrorHandler: answerClientError,
  }).withTypeProvider<TypeBoxTypeProvider>();

  // Bodies are taken as they are: "1" is no number and null no zero. Query strings are all text.
  const strict = new Ajv({ useDefaults: true, coerceTypes: false, strict: false });
  const lenient = new Ajv({ useDefaults: true, coerceTypes: true, strict: false });
  app.setValidatorCompiler(({ schema, httpPart }) =>
    (httpPart === 'body' ? strict : lenient).compile(schema as object),
  );
  // A body of bytes is checked by the codec, which names the item; its schema documents it.
  const bytesValidator: FastifySchemaCompiler<unknown> = ({ schema, httpPart }) =>
    httpPart === 'body' ? () => true : lenient.compile(schema as object);
  // The answers are ours: the schemas of responses only document them.
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  app.setErrorHandler(handleError);
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, {
      code: 'ROUTE_NOT_FOUND',
      status: 404,
      detail: `there is no route ${request.method} ${request.url.split('?', 1)[0]!.slice(0, 200)}`,
      hint: hintFor(audiences),
    }),
  );
  app.addHook('onRequest', (_request, reply, done) => {
    if (gateway.stop.aborted) {
      void reply.header('connection', 'close');
      done(draining() as Error);
    } else done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'none';
    metrics.requests.observe(
      { route, method: request.method, status: String(reply.statusCode) },
      reply.elapsedTime / 1000,
    );
    done();
  });

  if (audiences.includes('users'))
    await takeWebSockets(app, gateway.sessions, config.ENGRAM_SESSION_MESSAGE_BYTES_MAX);
  if (!audiences.includes('scrapers')) await documentRoutes(app);
  if (audiences.includes('operators')) consoleRoute(app, consolePage());
  await app.register((scope: FastifyInstance, _options, done) => {
    guard(scope, authenticator);
    takeJson(scope, jsonBytesMax);
    const typed = scope.withTypeProvider<TypeBoxTypeProvider>();
    healthRoutes(typed, gateway);
    if (audiences.includes('scrapers')) {
      metricsRoute(typed, gateway, 'open');
      done();
      return;
    }
    spaceRoutes(typed, gateway);
    if (audiences.includes('users')) {
      tailRoutes(typed, gateway);
      streamRoute(scope, gateway.sessions);
    }
    if (audiences.includes('operators')) {
      clusterRoutes(typed, gateway);
      metricsRoute(typed, gateway, config.ENGRAM_ADMIN_PORT === undefined ? 'operator' : 'open');
      verifyRoutes(typed, gateway);
      deadLetterRoutes(typed, gateway);
    }
    done();
  });
  if (!audiences.includes('users')) return app;
  await app.register((scope: FastifyInstance, _options, done) => {
    guard(scope, authenticator);
    traceRequests(scope, gateway.tracing);
    takeJson(scope, jsonBytesMax);
    const typed = scope.withTypeProvider<TypeBoxTypeProvider>();
    limitRequests(typed, gateway);
    recallRoutes(typed, gateway);
    done();
  });
  await app.register((scope: FastifyInstance, _options, done) => {
    guard(scope, authenticator);
    traceRequests(scope, gateway.tracing);
    takeBytes(scope, bytesMax);
    scope.setValidatorCompiler(bytesValidator);
    const typed = scope.withTypeProvider<TypeBoxTypeProvider>();
    limitRequests(typed, gateway);
    countBody(typed);
    observationRoutes(typed, gateway);
    done();
  });
  return app;
}

function hintFor(audiences: readonly Audience[]): string {
  if (audiences.includes('scrapers')) return 'this port has GET /metrics, /livez and /readyz';
  return audiences.includes('operators')
    ? 'GET /openapi.json lists the routes, /docs shows them'
    : 'GET /openapi.json lists the routes; those of operators are on the port ENGRAM_ADMIN_PORT';
}

/** `/docs` and `/openapi.json`, of the routes that are added afterwards. */
async function documentRoutes(app: GatewayApp): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Engram Cluster',
        version: '0.1.0',
        description: 'Sharded ingestion and recall of vector observations',
      },
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
      security: [{ key: [] }],
    },
    transform: ({ schema, url }) => ({ schema: documented(schema), url }),
  });
  await app.register(swaggerUi, { routePrefix: '/docs' });
  app.get('/', { schema: { hide: true }, handler: (_request, reply) => reply.redirect('/docs') });
  app.get('/openapi.json', { schema: { hide: true }, handler: () => app.swagger() });
}

/** A route's schema as clients should read it. */
function documented<T extends { readonly body?: unknown; readonly querystring?: unknown }>(
  schema: T,
): T {
  return {
    ...schema,
    ...(schema.body === undefined ? {} : { body: withoutDefaultsRequired(schema.body) }),
    ...(schema.querystring === undefined
      ? {}
      : { querystring: withoutDefaultsRequired(schema.querystring) }),
  };
}

const CLIENT_FAULTS: Readonly<Record<number, string>> = {
  408: 'the request did not arrive in time',
  431: 'the headers are too large',
};

/** What the HTTP parser itself refuses never becomes a request; it still gets our dialect. */
function answerClientError(
  this: FastifyInstance,
  error: NodeJS.ErrnoException,
  socket: Socket,
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, code]: [number, ErrorCode] =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? [408, 'REQUEST_TIMEOUT']
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? [431, 'INVALID_PARAMETER']
        : [400, 'INVALID_PARAMETER'];
  const detail = CLIENT_FAULTS[status] ?? 'the request is not well-formed HTTP';
  const body = JSON.stringify(documentOf({ status, code, detail }));
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\ncontent-type: application/problem+json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
