import type { ErrorRequestHandler } from 'express'
import { z } from 'zod'
import { NodeError } from '../errors.ts'
import type { Logger } from '../logger.ts'

/** The one door by which failures leave: problem+json, logged once when they are ours. */
export const errorHandler =
  (logger: Logger): ErrorRequestHandler =>
  (error, request, response, _next) => {
    const failure = asNodeError(error)
    if (failure.code === 'internal') logger.error('a request failed', { path: request.path, error })
    const problem = failure.toProblem()
    response.status(problem.status).type('application/problem+json').send(JSON.stringify(problem))
  }

const asNodeError = (error: unknown): NodeError => {
  if (error instanceof NodeError) return error
  if (error instanceof z.ZodError) return new NodeError('invalid_request', z.prettifyError(error))
  const { type } = error as { type?: unknown }
  if (type === 'entity.too.large') return new NodeError('too_large')
  // the body parser's other complaints
  if (typeof type === 'string') return new NodeError('invalid_request', 'The body is not valid JSON')
  return new NodeError('internal', 'The node failed', { cause: error })
}
