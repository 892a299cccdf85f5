/** The reconciler over real processes: killed by a signal, found again by another orchestrator, stopped. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import { createTestDatabase } from '../../test/database.ts'
import { createSession } from '../../test/session-fixture.ts'
import { createFanOut } from '../events/fan-out.ts'
import { createLogger } from '../logger.ts'
import { createMetrics } from '../metrics.ts'
import { createNodeClients } from '../nodes/node-clients.ts'
import { createNodeSpecs } from '../nodes/node-spec.ts'
import { ProcessRuntime } from '../nodes/runtime/process-runtime.ts'
import { createSecrets } from '../secrets.ts'
import { createReconciler } from './reconciler.ts'
import { createSessionChanges } from './session-changes.ts'
import { createSessionLogs } from './session-logs.ts'

const database = await createTestDatabase()
const dataDir = await mkdtemp(path.join(tmpdir(), 'palomar-reconciler-'))
const secrets = createSecrets(Buffer.alloc(32, 1))
const logger = createLogger('error', true)
const clients = createNodeClients(secrets)
const changes = createSessionChanges()
const production = path.join(import.meta.dirname, '../nodes/runtime/fixture-node.mjs')
const undo: (() => Promise<void>)[] = [() => rm(dataDir, { recursive: true }), () => clients.closeAll()]
afterAll(async () => {
  for (const step of undo.reverse()) await step()
})

async function orchestrator() {
  const runtime = new ProcessRuntime({ dataDir, bundles: { production } })
  await runtime.prepare()
  const reconciler = createReconciler({
    ...{
      database,
      fanOut: createFanOut(logger),
      changes,
      runtime,
      clients,
      logger,
      metrics: createMetrics(),
    },
    specOf: createNodeSpecs({
      secrets,
      orchestratorUrl: 'http://127.0.0.1:1',
      config: { simulator: undefined, logLevel: 'info' },
    }),
    ...{ reconcileMs: 60_000, startConcurrency: 4, timeouts: { graceMs: 1_000 } },
  })
  reconciler.start()
  return { runtime, reconciler }
}

const eventually = <T>(look: () => T | Promise<T>) => vi.waitFor(look, { timeout: 15_000, interval: 20 })

test('killed: replaced, its end and its last lines known; adopted by the next orchestrator; stopped on request', async () => {
  const fixture = await createSession(database)
  const { sessionId } = fixture
  const nodes = () => database.prisma.node.findMany({ where: { sessionId }, orderBy: { startedAt: 'asc' } })
  const started = (count: number) =>
    eventually(async () => {
      const rows = await nodes()
      expect(rows).toHaveLength(count)
      const last = rows.at(-1)
      expect(last).toMatchObject({
        driver: 'process',
        handle: { pid: expect.any(Number) },
        status: 'starting',
      })
      return (last as unknown as { handle: { pid: number } }).handle.pid
    })

  const first = await orchestrator()
  process.kill(await started(1), 'SIGKILL')
  const pid = await started(2)
  expect((await nodes())[0]).toMatchObject({
    status: 'exited',
    exitReason: expect.stringContaining('SIGKILL'),
    lastLogs: [expect.objectContaining({ text: expect.stringContaining('listening') })],
  })

  await first.reconciler.stop()
  await first.runtime.close()
  const second = await orchestrator()
  undo.push(async () => {
    await second.reconciler.stop()
    await second.runtime.close()
  })
  // Its death is seen though it is no child of the second: it was adopted.
  await eventually(async () => expect(await second.runtime.list()).toHaveLength(1))
  process.kill(pid, 'SIGTERM')
  await started(3)

  const logs = createSessionLogs({ database, runtime: second.runtime, changes, logger })
  const lines: string[] = []
  for await (const line of logs(fixture, {})) lines.push(line.text)
  expect(lines.filter((line) => line.includes('listening'))).toHaveLength(3)

  await database.prisma.session.update({ where: { id: sessionId }, data: { desired: 'stopped' } })
  second.reconciler.wake(sessionId)
  await eventually(async () => expect(await second.runtime.list()).toEqual([]))
  await eventually(async () => expect((await nodes()).at(-1)?.status).toBe('stopped'))
})
