/** The one place where a failure becomes an answer, and where unexpected ones are logged. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ErrorRequestHandler, RequestHandler } from 'express'
import { errorTable, PalomarError } from '../errors.ts'
import { type Logger, requestContext } from '../logger.ts'
import { writeJson } from './json-body.ts'

/** RFC 9457 */
export function problemOf(error: PalomarError): Record<string, unknown> {
  const { status, title } = errorTable[error.code]
  return {
    type: `urn:palomar:error:${error.code}`,
    title,
    status,
    code: error.code,
    ...(error.message === title ? {} : { detail: error.message }),
    ...(error.fields ? { errors: error.fields } : {}),
    ...error.extra,
    ...requestContext.getStore(),
  }
}

/** What Express' body parser and router throw, in our codes. */
function asPalomarError(error: unknown): PalomarError {
  if (error instanceof PalomarError) return error
  const { type, status } = (error ?? {}) as { type?: string; status?: number }
  if (type === 'entity.too.large') return new PalomarError('body_too_large')
  if (type === 'entity.parse.failed') return new PalomarError('invalid_json')
  if (type === 'charset.unsupported' || type === 'encoding.unsupported')
    return new PalomarError('unsupported_media_type')
  if (status === 400 || error instanceof URIError) return new PalomarError('invalid_request')
  return new PalomarError('internal', undefined, { cause: error })
}

/** Answers with the problem document of a failure, whatever serves the request. */
export function createRefuse(logger: Logger) {
  return (error: unknown, req: IncomingMessage, res: ServerResponse, route?: string): void => {
    const known = asPalomarError(error)
    if (known.status >= 500 && known.code !== 'shutting_down') {
      logger.error('request failed', { method: req.method, route, error: known.cause ?? known })
    }
    // A stream that has begun cannot become a problem document; cutting it is the only honest signal left.
    if (res.headersSent) return void res.destroy()
    writeJson(res, known.status, problemOf(known), 'application/problem+json')
  }
}

export function createErrorHandler(logger: Logger): ErrorRequestHandler {
  const refuse = createRefuse(logger)
  return (error, req, res, _next) => refuse(error, req, res, res.locals.route)
}

export const notFound: RequestHandler = (req) => {
  throw new PalomarError('not_found', `${req.method} ${req.path}`)
}
