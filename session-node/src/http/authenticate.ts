import { createHash, timingSafeEqual } from 'node:crypto'
import type { RequestHandler } from 'express'
import { NodeError } from '../errors.ts'

const digest = (text: string) => createHash('sha256').update(text).digest()

/** `Authorization: Bearer <token>`, compared in constant time */
export const requireToken = (token: string): RequestHandler => {
  const expected = digest(`Bearer ${token}`)
  return (request, _response, next) => {
    const authorized = timingSafeEqual(digest(request.get('authorization') ?? ''), expected)
    next(authorized ? undefined : new NodeError('unauthorized'))
  }
}
