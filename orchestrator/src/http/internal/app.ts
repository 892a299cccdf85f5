/**
 * The nodes' API: attach, keys, commits, stored messages. On a port of its own, where only nodes come; each proves
 * itself with the token that was made for its session.
 */
import {
  type AttachRequest,
  type AttachResult,
  attachRequest,
  type CommitRequest,
  type CommitResult,
  commitRequest,
  keysRequest,
  MAX_COMMIT_BYTES,
} from '@palomar/session-node/contract'
import express, { type Express, type RequestHandler } from 'express'
import { PalomarError } from '../../errors.ts'
import type { Logger } from '../../logger.ts'
import type { Secrets } from '../../secrets.ts'
import { createErrorHandler, notFound } from '../error-handler.ts'
import { parsePart } from '../route.ts'

export interface InternalApi {
  secrets: Secrets
  attach(sessionId: string, request: AttachRequest): Promise<AttachResult>
  readKeys(
    sessionId: string,
    generation: number,
    type: string,
    ids: string[],
  ): Promise<Record<string, string>>
  commit(sessionId: string, request: CommitRequest): Promise<CommitResult>
  /** a node sent what does not fit the contract: the session is marked, the node refused */
  refuseCommit(sessionId: string, error: PalomarError): Promise<void>
  storedMessage(sessionId: string, waId: string): Promise<string | null>
  logger: Logger
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

function createNodeAuth(secrets: Secrets): RequestHandler<{ id: string }> {
  return (req, res, next) => {
    const token = /^Bearer (\S+)$/.exec(req.get('authorization') ?? '')?.[1] ?? ''
    const nodeId = uuid.test(req.params.id) ? secrets.verifyNodeToken(req.params.id, token) : null
    if (!nodeId) throw new PalomarError('unauthorized', 'not the token of a node of this session')
    res.locals.nodeId = nodeId
    next()
  }
}

export function createInternalApp(api: InternalApi): Express {
  const app = express()
  app.disable('x-powered-by')
  const session = '/internal/sessions/:id'
  const json = express.json({ limit: MAX_COMMIT_BYTES, strict: true })
  app.use(session, createNodeAuth(api.secrets))

  app.post(`${session}/attach`, json, async (req, res) => {
    const request = parsePart(attachRequest, req.body, '') as AttachRequest
    if (request.node_id !== res.locals.nodeId)
      throw new PalomarError('unauthorized', 'the token is another node’s')
    res.json(await api.attach(req.params.id, request))
  })

  app.post(`${session}/keys`, json, async (req, res) => {
    const { generation, type, ids } = parsePart(keysRequest, req.body, '') as {
      generation: number
      type: string
      ids: string[]
    }
    res.json({ values: await api.readKeys(req.params.id, generation, type, ids) })
  })

  // A body that cannot even be read is a commit refused, too: the session is marked, whatever was wrong.
  const readCommit: RequestHandler<{ id: string }> = (req, res, next) =>
    json(req, res, (failure?: unknown) => {
      const parsed = async () => {
        try {
          if (failure) throw refusal(failure)
          res.locals.commit = parsePart(commitRequest, req.body, '')
        } catch (error) {
          if (error instanceof PalomarError) await api.refuseCommit(req.params.id, error)
          throw error
        }
      }
      parsed().then(() => next(), next)
    })

  app.post(`${session}/commits`, readCommit, async (req, res) => {
    res.json(await api.commit(req.params.id, res.locals.commit as CommitRequest))
  })

  app.get(`${session}/messages/:wa_id`, async (req, res) => {
    res.json({ raw: await api.storedMessage(req.params.id, req.params.wa_id) })
  })

  app.use(notFound)
  app.use(createErrorHandler(api.logger))
  return app
}

function refusal(error: unknown): unknown {
  const { type } = (error ?? {}) as { type?: string }
  if (type === 'entity.too.large')
    return new PalomarError('body_too_large', `a commit may have ${MAX_COMMIT_BYTES} bytes`)
  if (type === 'entity.parse.failed') return new PalomarError('invalid_json')
  return error
}
