import type { ServerResponse } from 'node:http'
import type { ErrorRequestHandler } from 'express'
import { z } from 'zod'
import { NodeError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { notJson, writeJson } from './json-body.ts'

/** The one door by which failures leave: problem+json, logged once when they are ours. */
export const createRefuse =
  (logger: Logger) =>
  (error: unknown, path: string, response: ServerResponse): void => {
    const failure = asNodeError(error)
    if (failure.code === 'internal') logger.error('a request failed', { path, error })
    const problem = failure.toProblem()
    writeJson(response, problem.status, problem, 'application/problem+json')
  }

export const errorHandler = (logger: Logger): ErrorRequestHandler => {
  const refuse = createRefuse(logger)
  return (error, request, response, _next) => refuse(error, request.path, response)
}

const asNodeError = (error: unknown): NodeError => {
  if (error instanceof NodeError) return error
  if (error instanceof z.ZodError) return new NodeError('invalid_request', z.prettifyError(error))
  const { type } = error as { type?: unknown }
  if (type === 'entity.too.large') return new NodeError('too_large')
  // the body parser's other complaints
  if (typeof type === 'string') return notJson()
  return new NodeError('internal', 'The node failed', { cause: error })
}
