/** Health and metrics, without a key: they say whether, never what. */
import { Router } from 'express'
import type { Metrics } from '../metrics.ts'

export interface HealthChecks {
  /** rejects when Postgres does not answer */
  database(): Promise<void>
  /** counts of nodes that should run, by health */
  nodes(): Promise<{ wanted: number; healthy: number; unhealthy: number; starting: number }>
}

export function createHealth(checks: HealthChecks, metrics: Metrics): Router {
  const router = Router()
  const db = () =>
    checks.database().then(
      () => ({ status: 'ok' as const }),
      (error: Error) => ({ status: 'failing' as const, reason: error.message }),
    )
  router.get('/health', async (_req, res) => {
    const database = await db()
    res
      .status(database.status === 'ok' ? 200 : 503)
      .json({ status: database.status, database: database.status })
  })
  router.get('/health/db', async (_req, res) => {
    const database = await db()
    res.status(database.status === 'ok' ? 200 : 503).json(database)
  })
  router.get('/health/nodes', async (_req, res) => {
    const nodes = await checks.nodes()
    res.json({ status: nodes.unhealthy === 0 ? 'ok' : 'degraded', ...nodes })
  })
  router.get('/metrics', async (_req, res) => {
    res.type(metrics.registry.contentType).send(await metrics.registry.metrics())
  })
  return router
}
