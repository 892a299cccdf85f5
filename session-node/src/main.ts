import './silence-console.ts'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { readEnvironment } from './environment/environment.ts'
import { exitCodes, FatalError } from './errors.ts'
import { createListener } from './http/listener.ts'
import { createLogger, type Logger } from './logger.ts'
import { OrchestratorClient } from './orchestrator/orchestrator-client.ts'
import { createSession, type Session } from './session.ts'

/** how long a terminated node tries to get its last commits through */
const DRAIN_MS = 8_000

const main = async (): Promise<void> => {
  const environment = readEnvironment(process.env)
  const { PALOMAR_SESSION_ID: sessionId, PALOMAR_NODE_ID: nodeId, PALOMAR_NODE_TOKEN: token } = environment
  const logger = createLogger(environment.PALOMAR_LOG_LEVEL, { session_id: sessionId, node_id: nodeId })
  const fail = (error: unknown) => exitWith(error, logger)
  process.on('uncaughtException', fail)
  // Baileys leaves promises of closed sockets to themselves; nothing durable hangs on them
  process.on('unhandledRejection', (error) => logger.warn('unhandled rejection', { error }))

  const orchestrator = new OrchestratorClient({
    url: environment.PALOMAR_ORCHESTRATOR_URL,
    sessionId,
    token,
    logger,
  })
  let session: Session | undefined
  let announce: (session: Session) => void = () => undefined
  const whenAttached = new Promise<Session>((resolve) => {
    announce = resolve
  })
  const server = createServer(
    createListener({ sessionId, nodeId, token, session: () => session, whenAttached, logger }),
  )

  const drain = async (signal: string) => {
    logger.info('draining', { signal })
    server.close()
    await Promise.race([finish(session), sleep(DRAIN_MS)])
    logger.info('drained', session?.log.stats())
    process.exit(exitCodes.drained)
  }
  process.once('SIGTERM', drain)
  process.once('SIGINT', drain)

  await listen(server, environment.PORT, environment.HOST)
  const { port } = server.address() as AddressInfo
  await tellPort(port)
  logger.info('listening', { port })

  const attached = await orchestrator.attach({ node_id: nodeId, version: process.version })
  logger.bind({ generation: attached.generation })
  logger.info('attached', { paired: attached.creds !== null, unsettled: attached.unsettled.length })
  session = createSession({ attached, orchestrator, simulator: environment.simulator, onFatal: fail, logger })
  session.start()
  announce(session)
}

/** what is decided is written first, so that frames waiting for it still leave; then what the closing itself adds */
const finish = async (session: Session | undefined): Promise<void> => {
  await session?.log.drain()
  await new Promise((resolve) => setImmediate(resolve))
  await session?.connection.stop()
  await session?.log.drain()
}

/** A parent that dies before it has written the port down leaves a node that nobody can find: it must not go on. */
const tellPort = (port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    if (!process.send) {
      resolve()
      return
    }
    process.once('disconnect', () =>
      reject(new FatalError(exitCodes.orphaned, 'The parent ended before it knew the port')),
    )
    process.once('message', () => {
      resolve()
      if (process.connected) process.disconnect()
    })
    process.send({ port })
  })

const listen = (server: ReturnType<typeof createServer>, port: number, host: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(new FatalError(exitCodes.badEnvironment, `Cannot listen on ${host}:${port}: ${error.message}`)),
    )
    server.listen(port, host, resolve)
  })

const exitWith = (error: unknown, logger: Logger): void => {
  logger.error('the node ends', { error })
  process.exit(error instanceof FatalError ? error.exitCode : exitCodes.crashed)
}

main().catch((error: unknown) => exitWith(error, createLogger('error', {})))
