/** Which orchestrator leads, as its reconciler shows it. */
import { expect, test } from 'vitest'
import { database, engine, nodeOf, reconcile } from '../../test/reconciler-fixture.ts'
import { createSession } from '../../test/session-fixture.ts'

test('of two orchestrators one reconciles; the other wakes it, and takes over when it ends', async () => {
  const early = await createSession(database)
  const first = reconcile()
  await nodeOf(early)
  const second = reconcile({ reconcileMs: 50 })
  const fixtures = await Promise.all([1, 2, 3].map(() => createSession(database)))
  for (const { sessionId } of fixtures) second.wake(sessionId)
  for (const fixture of fixtures) await nodeOf(fixture)
  expect(engine.starts).toHaveLength(4)
  await first.stop()
  const after = await createSession(database)
  await nodeOf(after)
})

test('a leader whose connection is cut stops leading, and leads again', async () => {
  reconcile({ reconcileMs: 50 })
  await createSession(database).then(nodeOf)
  await database.pool.query(
    `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and pid <> pg_backend_pid()
     and database = (select oid from pg_database where datname = current_database())`,
  )
  await createSession(database).then(nodeOf)
  expect(engine.starts).toHaveLength(2)
})
