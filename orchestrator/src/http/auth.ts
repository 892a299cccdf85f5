/** The API key of a request, in any of the headers that users of this field know. Never in the URL. */
import type { IncomingHttpHeaders } from 'node:http'
import type { RequestHandler } from 'express'
import { PalomarError } from '../errors.ts'
import type { Identity } from '../tenants/identity.ts'

/** `Authorization: Bearer`, `X-Api-Key` or `apikey`; undefined when none is there. */
export function apiKeyOf(headers: IncomingHttpHeaders): string | undefined {
  const bearer = /^Bearer\s+(\S+)$/i.exec(headers.authorization ?? '')?.[1]
  const other = headers['x-api-key'] ?? headers.apikey
  return bearer ?? (Array.isArray(other) ? other[0] : other) ?? undefined
}

export function createAuth(identity: Identity): RequestHandler {
  return async (req, res, next) => {
    const key = apiKeyOf(req.headers)
    const caller = key ? await identity.authenticate(key) : null
    if (!caller) {
      res.set('WWW-Authenticate', 'Bearer realm="palomar"')
      throw new PalomarError('unauthorized', key ? 'the API key is not valid' : 'no API key was given')
    }
    res.locals.caller = caller
    next()
  }
}
