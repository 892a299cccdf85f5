/**
 * Every setting: its variable, what it means, its default (which works on a newcomer's machine) and its form.
 * Parsed once, by `main.ts`; nothing else reads the environment.
 */
import path from 'node:path'
import { z } from 'zod'

const port = z.coerce.number().int().min(0).max(65_535)
const seconds = z.coerce.number().min(0).max(86_400)
const flag = z.enum(['true', 'false', '1', '0']).transform((value) => value === 'true' || value === '1')
const secret = z
  .string()
  .refine(
    (value) => Buffer.from(value, 'base64').length === 32,
    'must be 32 bytes in base64 (openssl rand -base64 32)',
  )

const environment = z.object({
  /** where embedded Postgres, node logs and the generated secret live */
  PALOMAR_DATA_DIR: z.string().min(1).default('.palomar'),
  /** a Postgres of yours (15 or newer); without it an embedded one is started in the data directory */
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  /** connections of the pool */
  PALOMAR_DATABASE_POOL: z.coerce.number().int().min(2).max(200).default(20),
  /** optional: fans events out between replicas */
  REDIS_URL: z.url({ protocol: /^rediss?$/ }).optional(),

  /** the public API */
  PALOMAR_HTTP_HOST: z.string().default('127.0.0.1'),
  PALOMAR_HTTP_PORT: port.default(8080),
  /** the nodes' API; must keep its port over a restart, since running nodes call it */
  PALOMAR_INTERNAL_PORT: port.default(8081),
  /** base URL by which nodes reach the internal API, when something stands between */
  PALOMAR_INTERNAL_URL: z.url({ protocol: /^https?$/ }).optional(),
  /** browsers' origins that may open the WebSocket, comma separated; none: no browser */
  PALOMAR_ALLOWED_ORIGINS: z
    .string()
    .default('')
    .transform((list) =>
      list
        .split(',')
        .map((origin) => origin.trim())
        .filter(Boolean),
    ),

  /** encrypts Signal keys and derives node tokens; made at the first start when absent */
  PALOMAR_SECRET_KEY: secret.optional(),
  /** the first tenant's admin key; made and printed at the first start when absent */
  PALOMAR_ADMIN_KEY: z.string().min(24).optional(),

  /** auto: docker where an engine answers, else process */
  PALOMAR_RUNTIME: z.enum(['auto', 'docker', 'process']).default('auto'),
  /** tells installations on one engine apart */
  PALOMAR_INSTALLATION: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,30}$/)
    .default('palomar'),
  /** an image to run sessions from, instead of the one built from this repository */
  PALOMAR_SESSION_IMAGE: z.string().optional(),
  /** nodes started at once */
  PALOMAR_START_CONCURRENCY: z.coerce.number().int().min(1).max(64).default(4),
  /** how often the reconciler looks at every session */
  PALOMAR_RECONCILE_SECONDS: seconds.default(5),

  /** pause between two messages of one account, in milliseconds (0: none) */
  PALOMAR_SEND_PACE_MS: z.coerce.number().int().min(0).max(600_000).default(0),
  /** how long POST /api/messages waits for the server's ack before it answers 202 */
  PALOMAR_SEND_WAIT_MS: z.coerce.number().int().min(100).max(120_000).default(15_000),
  /** accounts appear online: senders see two ticks at once, but phones stop notifying */
  PALOMAR_MARK_ONLINE: flag.default(true),

  /** a simulated WhatsApp: nodes then run the simulator bundle, which no production image contains */
  PALOMAR_SIMULATOR_URL: z.url({ protocol: /^wss?$/ }).optional(),
  PALOMAR_SIMULATOR_ROOT_KEY: z.base64().optional(),

  PALOMAR_LOG_LEVEL: z.enum(['error', 'warn', 'info', 'debug']).default('info'),
})

export interface Config {
  dataDir: string
  database: { url: string | undefined; pool: number }
  redisUrl: string | undefined
  http: { host: string; port: number; allowedOrigins: string[] }
  internal: { port: number; url: string | undefined }
  secretKey: string | undefined
  adminKey: string | undefined
  runtime: {
    kind: 'auto' | 'docker' | 'process'
    installation: string
    sessionImage: string | undefined
    startConcurrency: number
  }
  reconcileMs: number
  send: { paceMs: number; waitMs: number }
  markOnline: boolean
  simulator: { url: string; rootKey: string } | undefined
  logLevel: 'error' | 'warn' | 'info' | 'debug'
}

/** Throws one Error whose message names every bad variable and what it should be. */
export function parseConfig(env: NodeJS.ProcessEnv): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  const parsed = environment.safeParse(given)
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
    throw new Error(`configuration: ${lines.join('; ')}`)
  }
  const e = parsed.data
  if (e.PALOMAR_SIMULATOR_URL && !e.PALOMAR_SIMULATOR_ROOT_KEY) {
    throw new Error('configuration: PALOMAR_SIMULATOR_ROOT_KEY: needed beside PALOMAR_SIMULATOR_URL')
  }
  return {
    dataDir: path.resolve(e.PALOMAR_DATA_DIR),
    database: { url: e.DATABASE_URL, pool: e.PALOMAR_DATABASE_POOL },
    redisUrl: e.REDIS_URL,
    http: { host: e.PALOMAR_HTTP_HOST, port: e.PALOMAR_HTTP_PORT, allowedOrigins: e.PALOMAR_ALLOWED_ORIGINS },
    internal: { port: e.PALOMAR_INTERNAL_PORT, url: e.PALOMAR_INTERNAL_URL },
    secretKey: e.PALOMAR_SECRET_KEY,
    adminKey: e.PALOMAR_ADMIN_KEY,
    runtime: {
      kind: e.PALOMAR_RUNTIME,
      installation: e.PALOMAR_INSTALLATION,
      sessionImage: e.PALOMAR_SESSION_IMAGE,
      startConcurrency: e.PALOMAR_START_CONCURRENCY,
    },
    reconcileMs: e.PALOMAR_RECONCILE_SECONDS * 1000,
    send: { paceMs: e.PALOMAR_SEND_PACE_MS, waitMs: e.PALOMAR_SEND_WAIT_MS },
    markOnline: e.PALOMAR_MARK_ONLINE,
    simulator:
      e.PALOMAR_SIMULATOR_URL && e.PALOMAR_SIMULATOR_ROOT_KEY
        ? { url: e.PALOMAR_SIMULATOR_URL, rootKey: e.PALOMAR_SIMULATOR_ROOT_KEY }
        : undefined,
    logLevel: e.PALOMAR_LOG_LEVEL,
  }
}
