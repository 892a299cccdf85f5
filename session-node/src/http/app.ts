import { setTimeout as sleep } from 'node:timers/promises'
import express, { type Express } from 'express'
import { z } from 'zod'
import {
  type ConnectionState,
  healthResult,
  pairingCodeCommand,
  pairingCodeResult,
  qrResult,
  sessionResult,
} from '../../contract/index.ts'
import { NodeError } from '../errors.ts'
import type { Session } from '../session.ts'
import { requireToken } from './authenticate.ts'
import { errorHandler } from './error-handler.ts'
import { MAX_BODY_BYTES } from './json-body.ts'
import { attached, type SendOptions, send } from './send.ts'

export interface AppOptions extends SendOptions {
  sessionId: string
  nodeId: string
  /** resolves when the node has attached */
  whenAttached: Promise<Session>
}

const PAIRING_MS = 15_000
const qrQuery = z.object({ wait_ms: z.coerce.number().int().min(0).max(60_000).default(15_000) })

/** The commands of the contract. */
export const createApp = ({
  sessionId,
  nodeId,
  token,
  session,
  whenAttached,
  logger,
}: AppOptions): Express => {
  const app = express()
  app.disable('x-powered-by').disable('etag')
  app.use(requireToken(token))
  app.use(express.json({ limit: MAX_BODY_BYTES }))

  app.post('/messages', async (request, response) => {
    response.json(await send(session, request.body))
  })

  app.get('/session', (_request, response) => {
    response.json(sessionResult.parse(describe(session())))
  })

  app.delete('/session', async (_request, response) => {
    const { connection, log } = attached(session)
    await connection.logout()
    await log.drain()
    response.status(204).end()
  })

  app.get('/session/qr', async (request, response) => {
    const { wait_ms } = qrQuery.parse(request.query)
    const until = Date.now() + wait_ms
    const { connection } = await within(wait_ms, whenAttached)
    response.json(qrResult.parse(await connection.qr(until - Date.now())))
  })

  app.post('/session/pairing-code', async (request, response) => {
    const { phone } = pairingCodeCommand.parse(request.body)
    const { connection } = await within(PAIRING_MS, whenAttached)
    response.json(pairingCodeResult.parse(await connection.pairingCode(phone)))
  })

  app.get('/health', (_request, response) => {
    const current = session()
    response.json(
      healthResult.parse({
        status: 'ok',
        session_id: sessionId,
        node_id: nodeId,
        generation: current?.generation ?? null,
        state: stateOf(current),
        uptime_seconds: process.uptime(),
        last_traffic_at: current?.connection.lastTrafficAt?.toISOString() ?? null,
        commits: current?.log.stats() ?? { pending: 0, pending_bytes: 0, durable_seq: 0 },
      }),
    )
  })

  app.use((_request, _response, next) => next(new NodeError('not_found')))
  app.use(errorHandler(logger))
  return app
}

const within = async <T>(ms: number, promise: Promise<T>): Promise<T> => {
  const result = await Promise.race([promise, sleep(ms, undefined, { ref: false })])
  if (result === undefined) throw new NodeError('pairing_unavailable', 'The node has not attached yet')
  return result
}

const stateOf = (session: Session | undefined): ConnectionState => session?.connection.state ?? 'connecting'

const describe = (session: Session | undefined) => {
  const me = session?.credentials.me
  const qr = session?.connection.pairing.current
  return { state: stateOf(session), ...(me ? { me } : {}), ...(qr ? { qr } : {}) }
}
