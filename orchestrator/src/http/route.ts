/**
 * A route is one value: its method and path, what it takes (zod), what it answers, and its handler. From it come the
 * Express route, the validation that names the bad field, and the OpenAPI operation.
 */
import type { Request, RequestHandler, Response, Router } from 'express'
import type { ZodType, z } from 'zod'
import { type FieldError, PalomarError } from '../errors.ts'
import type { Caller, Scope } from '../tenants/identity.ts'

type Parsed<T> = T extends ZodType ? z.output<T> : undefined

export interface Reply {
  /** 400 and above: the body is a problem document */
  status: number
  body?: unknown
  headers?: Record<string, string>
}

export interface RouteInput<P, Q, B> {
  params: Parsed<P>
  query: Parsed<Q>
  body: Parsed<B>
  caller: Caller
  req: Request
  res: Response
  /** aborts when the client goes away */
  signal: AbortSignal
}

export interface RouteResponse {
  description: string
  schema?: ZodType
  /** default application/json */
  contentType?: string
}

export interface Route<
  P extends ZodType | undefined,
  Q extends ZodType | undefined,
  B extends ZodType | undefined,
> {
  method: 'get' | 'post' | 'patch' | 'delete'
  /** as OpenAPI writes it: /api/accounts/{id} */
  path: string
  summary: string
  description?: string
  tag: string
  scope: Scope
  params?: P
  query?: Q
  body?: B
  headers?: ZodType
  responses: Record<number, RouteResponse>
  /** answers with a Reply, or writes `res` itself and returns nothing */
  handler: (input: RouteInput<P, Q, B>) => Promise<Reply | undefined>
}

export type AnyRoute = Route<ZodType | undefined, ZodType | undefined, ZodType | undefined>

/** Keeps the inference of a route's own schemas while giving back the common type. */
export function route<
  P extends ZodType | undefined = undefined,
  Q extends ZodType | undefined = undefined,
  B extends ZodType | undefined = undefined,
>(definition: Route<P, Q, B>): AnyRoute {
  return definition as unknown as AnyRoute
}

/** Parses one part of a request; a failure names each bad field, e.g. `text.body` or `query.limit`. */
export function parsePart(schema: ZodType | undefined, value: unknown, prefix: string): unknown {
  if (!schema) return undefined
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const fields: FieldError[] = parsed.error.issues.flatMap((issue) => {
    const at = [...(prefix ? [prefix] : []), ...issue.path.map(String)]
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({ field: [...at, key].join('.'), message: 'unknown field' }))
    }
    return [{ field: at.join('.') || 'body', message: issue.message }]
  })
  const detail = fields.map(({ field, message }) => `${field}: ${message}`).join('; ')
  throw new PalomarError('invalid_request', detail, { fields })
}

export function callerOf(res: Response): Caller {
  const caller = res.locals.caller as Caller | undefined
  if (!caller) throw new PalomarError('unauthorized')
  return caller
}

function requireScope(caller: Caller, scope: Scope): void {
  if (!caller.scopes.includes('admin') && !caller.scopes.includes(scope)) {
    throw new PalomarError('forbidden', `the key needs the scope "${scope}"`)
  }
}

function handlerOf(definition: AnyRoute): RequestHandler {
  return async (req, res) => {
    const caller = callerOf(res)
    requireScope(caller, definition.scope)
    if (definition.body && !req.is('application/json')) throw new PalomarError('unsupported_media_type')
    const gone = new AbortController()
    // Every response closes at last; aborting costs more than the rest of this function.
    res.on('close', () => {
      if (!res.writableFinished) gone.abort()
    })
    const reply = await definition.handler({
      params: parsePart(definition.params, req.params, 'path') as undefined,
      query: parsePart(definition.query, req.query, 'query') as undefined,
      body: parsePart(definition.body, req.body, '') as undefined,
      caller,
      req,
      res,
      signal: gone.signal,
    })
    if (!reply) return
    res.status(reply.status).type('application/json')
    if (reply.headers) res.set(reply.headers)
    if (reply.status >= 400) res.type('application/problem+json')
    if (reply.body === undefined) res.end()
    else res.send(JSON.stringify(reply.body))
  }
}

/** Puts the routes on a router; a path that exists but not with that method answers 405. */
export function mount(router: Router, routes: AnyRoute[]): void {
  const byPath = new Map<string, Set<string>>()
  for (const definition of routes) {
    const path = definition.path.replace(/\{(\w+)\}/g, ':$1')
    const setTemplate: RequestHandler = (_req, res, next) => {
      res.locals.route = definition.path
      next()
    }
    router[definition.method](path, setTemplate, handlerOf(definition))
    byPath.set(path, (byPath.get(path) ?? new Set()).add(definition.method.toUpperCase()))
  }
  for (const [path, methods] of byPath) {
    router.all(path, (req, res) => {
      res.set('Allow', [...methods].join(', '))
      throw new PalomarError('method_not_allowed', `${req.method} is not one of ${[...methods].join(', ')}`)
    })
  }
}
