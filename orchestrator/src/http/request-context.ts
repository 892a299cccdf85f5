/** A request id on every answer and log line, and one duration a request. */
import { randomUUID } from 'node:crypto'
import type { RequestHandler } from 'express'
import { requestContext } from '../logger.ts'
import type { Metrics } from '../metrics.ts'

const wellFormed = /^[\w.:-]{1,100}$/

export function createRequestContext(metrics: Metrics): RequestHandler {
  return (req, res, next) => {
    const given = req.get('x-request-id')
    const request_id = given && wellFormed.test(given) ? given : randomUUID()
    res.set('X-Request-Id', request_id)
    const stop = metrics.httpDuration.startTimer()
    res.on('finish', () => {
      stop({ method: req.method, route: String(res.locals.route ?? 'none'), status: String(res.statusCode) })
    })
    requestContext.run({ request_id }, next)
  }
}
