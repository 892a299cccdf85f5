/** The public API: one Express app out of the rooms' routes. */
import express, { type Express, Router } from 'express'
import helmet from 'helmet'
import type { Logger } from '../logger.ts'
import type { Metrics } from '../metrics.ts'
import type { Identity } from '../tenants/identity.ts'
import { createAuth } from './auth.ts'
import { createDocs } from './docs.ts'
import { createErrorHandler, notFound } from './error-handler.ts'
import { createHealth, type HealthChecks } from './health.ts'
import { buildOpenApi } from './openapi.ts'
import { createRequestContext } from './request-context.ts'
import { type AnyRoute, mount } from './route.ts'

export interface AppOptions {
  routes: AnyRoute[]
  identity: Identity
  health: HealthChecks
  logger: Logger
  metrics: Metrics
  version: string
}

/** a bulk send of 1,000 texts fits */
const MAX_BODY = '5mb'

export function createApp({ routes, identity, health, logger, metrics, version }: AppOptions): Express {
  const app = express()
  app.disable('x-powered-by')
  app.set('query parser', 'simple')
  app.use(createRequestContext(metrics))
  app.use(helmet())
  app.use(createHealth(health, metrics))
  app.use(createDocs(buildOpenApi(routes, version)))
  const api = Router()
  api.use('/api', createAuth(identity), express.json({ limit: MAX_BODY, strict: true }))
  mount(api, routes)
  app.use(api)
  app.use(notFound)
  app.use(createErrorHandler(logger))
  return app
}
