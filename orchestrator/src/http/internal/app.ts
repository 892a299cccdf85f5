/**
 * The nodes' API: attach, keys, commits, stored messages. On a port of its own, where only nodes come; each proves
 * itself with the token that was made for its session.
 */
import {
  type AttachRequest,
  type AttachResult,
  attachRequest,
  keysRequest,
  MAX_COMMIT_BYTES,
} from '@palomar/session-node/contract'
import express, { type Express } from 'express'
import { PalomarError } from '../../errors.ts'
import { createErrorHandler, notFound } from '../error-handler.ts'
import { parsePart } from '../route.ts'
import { type CommitApi, takeCommit } from './commits.ts'
import { createNodeAuth } from './node-auth.ts'

export interface InternalApi extends CommitApi {
  attach(sessionId: string, request: AttachRequest): Promise<AttachResult>
  readKeys(
    sessionId: string,
    generation: number,
    type: string,
    ids: string[],
  ): Promise<Record<string, string>>
  storedMessage(sessionId: string, waId: string): Promise<string | null>
}

export function createInternalApp(api: InternalApi): Express {
  const app = express()
  app.disable('x-powered-by').disable('etag')
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

  app.post(`${session}/commits`, async (req, res) => {
    const read = () =>
      new Promise((resolve, reject) => {
        json(req, res, (failure?: unknown) => (failure ? reject(refusal(failure)) : resolve(req.body)))
      })
    res.json(await takeCommit(api, req.params.id, read))
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
