import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { RequestHandler } from 'express'
import { NodeError } from '../errors.ts'

const digest = (text: string) => createHash('sha256').update(text).digest()

/** `Authorization: Bearer <token>`, compared in constant time */
export const tokenCheck = (token: string): ((request: IncomingMessage) => boolean) => {
  const expected = digest(`Bearer ${token}`)
  return ({ headers }) => timingSafeEqual(digest(headers.authorization ?? ''), expected)
}

export const requireToken = (token: string): RequestHandler => {
  const isAuthorized = tokenCheck(token)
  return (request, _response, next) => next(isAuthorized(request) ? undefined : new NodeError('unauthorized'))
}
