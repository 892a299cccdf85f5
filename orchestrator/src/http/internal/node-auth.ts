/** A node proves itself with the token that was made for it and its session. */
import type { IncomingMessage } from 'node:http'
import type { RequestHandler } from 'express'
import { PalomarError } from '../../errors.ts'
import type { Secrets } from '../../secrets.ts'

type VerifyToken = Pick<Secrets, 'verifyNodeToken'>

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** The id of the node of this session that the request's token belongs to; null when there is none. */
export function nodeOf(secrets: VerifyToken, sessionId: string, { headers }: IncomingMessage): string | null {
  const token = /^Bearer (\S+)$/.exec(headers.authorization ?? '')?.[1] ?? ''
  return uuid.test(sessionId) ? secrets.verifyNodeToken(sessionId, token) : null
}

export function createNodeAuth(secrets: VerifyToken): RequestHandler<{ id: string }> {
  return (req, res, next) => {
    const nodeId = nodeOf(secrets, req.params.id, req)
    if (!nodeId) throw new PalomarError('unauthorized', 'not the token of a node of this session')
    res.locals.nodeId = nodeId
    next()
  }
}
