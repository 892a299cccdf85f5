/**
 * The orchestrator. The one file that knows every room: it builds them by plain construction, in the order in which
 * they need each other, and drains them in the reverse one.
 */
import { mkdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { createAccounts } from './accounts/accounts.ts'
import { type Config, parseConfig } from './config.ts'
import { openDatabase } from './db/database.ts'
import { startEmbeddedPostgres } from './db/embedded-postgres.ts'
import { migrate } from './db/migrate.ts'
import { StartupError } from './db/startup-error.ts'
import { createFanOut } from './events/fan-out.ts'
import { createIngest } from './events/ingest.ts'
import { createRedisFanOut } from './events/redis-fan-out.ts'
import { createApp } from './http/app.ts'
import { apiKeyOf } from './http/auth.ts'
import { createInternalListener } from './http/internal/listener.ts'
import { accountRoutes } from './http/routes/accounts.ts'
import { conversationRoutes } from './http/routes/conversations.ts'
import { messageRoutes } from './http/routes/messages.ts'
import { sessionRoutes } from './http/routes/sessions.ts'
import { ticketRoutes } from './http/routes/web-socket-tickets.ts'
import { addressOf, closeServer, listen } from './http/server.ts'
import { createLogger, type Logger } from './logger.ts'
import { createMessages } from './messages/messages.ts'
import { createMetrics } from './metrics.ts'
import { countNodes } from './nodes/count-nodes.ts'
import { createNodeClients } from './nodes/node-clients.ts'
import { createNodeSpecs } from './nodes/node-spec.ts'
import { openRuntime } from './nodes/runtime/open-runtime.ts'
import { RuntimeError } from './nodes/runtime/runtime.ts'
import { createSecrets, loadMasterSecret } from './secrets.ts'
import { createAttach } from './sessions/attach.ts'
import { countDisconnects } from './sessions/count-disconnects.ts'
import { createInboxStore, sweepInbox } from './sessions/inbox-store.ts'
import { createKeyStore } from './sessions/key-store.ts'
import { createLifecycle } from './sessions/lifecycle.ts'
import { createPairing } from './sessions/pairing.ts'
import { createReconciler } from './sessions/reconciler.ts'
import { createSessionChanges } from './sessions/session-changes.ts'
import { createSessionLogs } from './sessions/session-logs.ts'
import { requireGeneration } from './sessions/session-row.ts'
import { createIdentity, ensureFirstTenant } from './tenants/identity.ts'
import { createTickets } from './tenants/tickets.ts'
import { createGateway } from './ws/gateway.ts'

const DRAIN_MS = 10_000
const SWEEP_MS = 10 * 60_000
/** held commits past which a node leaves WhatsApp, so that it queues for us */
const MAX_PENDING_BYTES = 16 * 1024 * 1024

const here = path.dirname(fileURLToPath(import.meta.url))
// From src/ and from dist/ alike.
const migrations = path.join(here, '../../prisma/migrations')
const version = (
  JSON.parse(readFileSync(path.join(here, '../../package.json'), 'utf8')) as { version: string }
).version

type Undo = (() => Promise<unknown> | unknown)[]

async function start(config: Config, logger: Logger, undo: Undo): Promise<void> {
  const metrics = createMetrics()
  mkdirSync(config.dataDir, { recursive: true })
  const secrets = createSecrets(loadMasterSecret(config.secretKey, config.dataDir))

  const url = config.database.url ?? (await embeddedDatabase(config, undo))
  await migrate(url, migrations)
  const database = await openDatabase(url, {
    maxConnections: config.database.pool,
    onIdleError: (error) => logger.warn('a connection to Postgres broke', { error }),
  })
  undo.push(() => database.close())
  const { createdKey } = await ensureFirstTenant(database.pool, config.adminKey)
  // At once, before anything else can fail, and not through the logger: it is shown this once and kept nowhere.
  if (createdKey) process.stderr.write(`\nAdmin key (shown this once): ${createdKey}\n\n`)

  const fanOut = config.redisUrl
    ? createRedisFanOut(config.redisUrl, config.runtime.installation, logger)
    : createFanOut(logger)
  undo.push(() => fanOut.close())
  countDisconnects(fanOut, metrics)

  const runtime = await openRuntime({
    ...config.runtime,
    dataDir: config.dataDir,
    simulator: config.simulator !== undefined,
    maxStarts: config.runtime.startConcurrency,
    onProgress: (line) => logger.info(line),
    onError: (error) => logger.error('the runtime driver failed in the background', { error }),
  })
  undo.push(() => runtime.close())
  const { listenHost, callbackHost } = await runtime.prepare()

  const changes = createSessionChanges()
  const keys = createKeyStore(secrets)
  const inbox = createInboxStore(secrets)
  const clients = createNodeClients(secrets)
  undo.push(() => clients.closeAll())
  const transactions = { database, fanOut, changes }

  const messages = createMessages({ ...transactions, clients, config: config.send, logger, metrics })
  const ingest = createIngest({
    database,
    keys,
    inbox,
    fanOut,
    logger,
    metrics,
    onCommitted: [({ sessionId }) => changes.changed(sessionId)],
  })
  const attach = createAttach({
    database,
    keys,
    inbox,
    changes,
    settings: { mark_online: config.markOnline, max_pending_bytes: MAX_PENDING_BYTES },
  })

  const internal = createInternalListener({
    secrets,
    attach,
    async readKeys(sessionId, generation, type, ids) {
      await requireGeneration(database.pool, sessionId, generation)
      return keys.readKeys(database.pool, sessionId, type, ids)
    },
    commit: ingest.applyCommit,
    refuseCommit: ingest.refuseCommit,
    storedMessage: messages.storedMessage,
    logger,
  })
  const internalServer = await listen(internal, listenHost, config.internal.port, 'PALOMAR_INTERNAL_PORT')
  undo.push(() => closeServer(internalServer))
  const { port: internalPort } = addressOf(internalServer)

  const reconciler = createReconciler({
    ...transactions,
    runtime,
    clients,
    specOf: createNodeSpecs({
      secrets,
      orchestratorUrl: config.internal.url ?? `http://${callbackHost}:${internalPort}`,
      config,
    }),
    reconcileMs: config.reconcileMs,
    startConcurrency: config.runtime.startConcurrency,
    logger,
    metrics,
  })
  const lifecycle = createLifecycle({ ...transactions, clients, reconciler, logger })
  const accounts = createAccounts({ ...transactions, lifecycle, reconciler, logger })
  const identity = createIdentity(database.pool)
  const tickets = createTickets()

  const app = createApp({
    routes: [
      ...accountRoutes(accounts),
      ...sessionRoutes({
        sendingPause: messages.sendingPause,
        lifecycle,
        pairing: createPairing({ ...transactions, clients, reconciler }),
        logs: createSessionLogs({ database, runtime, changes, logger }),
      }),
      ...messageRoutes(messages),
      ...conversationRoutes(messages),
      ...ticketRoutes(tickets),
    ],
    identity,
    health: {
      database: async () => void (await database.pool.query('select 1')),
      nodes: () => countNodes(database.pool),
    },
    logger,
    metrics,
    version,
  })
  const gateway = createGateway({
    authenticate: async (request, query) => {
      const ticket = query.get('ticket')
      const key = apiKeyOf(request.headers)
      return ticket ? tickets.redeem(ticket) : key ? identity.authenticate(key) : null
    },
    subscribe: fanOut.subscribe,
    allowedOrigins: config.http.allowedOrigins,
    logger,
    metrics,
  })

  messages.start()
  undo.push(() => messages.stop(DRAIN_MS))
  reconciler.start()
  undo.push(() => reconciler.stop())
  const sweeps = setInterval(() => {
    Promise.all([sweepInbox(database.pool), messages.sweep()]).catch((error) =>
      logger.error('sweeping failed', { error }),
    )
  }, SWEEP_MS)
  undo.push(() => clearInterval(sweeps))

  const server = await listen(app, config.http.host, config.http.port, 'PALOMAR_HTTP_PORT')
  gateway.attach(server)
  undo.push(async () => {
    gateway.close()
    await closeServer(server)
  })

  const { port } = addressOf(server)
  logger.info('listening', { url: `http://${config.http.host}:${port}`, runtime: runtime.kind, version })
  process.stderr.write(
    `Palomar is at http://${config.http.host}:${port}  API: /api/docs  sessions: ${runtime.kind}\n\n`,
  )
}

async function embeddedDatabase(config: Config, undo: Undo): Promise<string> {
  const postgres = await startEmbeddedPostgres({ dataDir: config.dataDir })
  undo.push(() => postgres.stop())
  return postgres.createDatabase('palomar')
}

async function main(): Promise<void> {
  const config = parseConfig(process.env)
  const logger = createLogger(config.logLevel)
  const undo: Undo = []
  let draining: Promise<void> | undefined
  const drain = async () => {
    for (const step of undo.splice(0).reverse()) {
      try {
        await step()
      } catch (error) {
        logger.error('a room did not drain', { error })
      }
    }
  }
  const end = (signal: string) => {
    if (draining) return
    logger.info('draining; sessions keep running', { signal })
    draining = drain().then(() => process.exit(0))
  }
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
  process.on('unhandledRejection', (error) => {
    logger.error('a rejection nobody handled', { error })
    process.exit(1)
  })
  try {
    await start(config, logger, undo)
  } catch (error) {
    await drain()
    throw error
  }
}

main().catch((error: unknown) => {
  // What keeps it from starting is said in one line; only a fault of our own needs its stack.
  const ours = !(error instanceof StartupError || error instanceof RuntimeError || isConfiguration(error))
  process.stderr.write(
    `palomar: ${ours && error instanceof Error ? error.stack : (error as Error).message}\n`,
  )
  process.exit(1)
})

function isConfiguration(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('configuration: ')
}
