import { afterEach, beforeEach, expect, test } from 'vitest'
import { createTestDatabase } from '../../test/database.ts'
import { createNode, createSession, type SessionFixture } from '../../test/session-fixture.ts'
import { createLogger } from '../logger.ts'
import { endNode, saveWhereabouts } from '../nodes/node-rows.ts'
import { FakeEngine, type FakeNode } from '../nodes/runtime/fake-engine.ts'
import { FakeRuntime } from '../nodes/runtime/fake-runtime.ts'
import type { LogLine } from '../nodes/runtime/runtime.ts'
import { createSessionChanges } from './session-changes.ts'
import { createSessionLogs } from './session-logs.ts'

const database = await createTestDatabase()
const changes = createSessionChanges()

let engine: FakeEngine
let runtime: FakeRuntime
let sessionLogs: ReturnType<typeof createSessionLogs>

beforeEach(() => {
  engine = new FakeEngine()
  runtime = new FakeRuntime(engine)
  sessionLogs = createSessionLogs({ database, runtime, changes, logger: createLogger('error', true) })
})
afterEach(() => engine.dispose())

async function startNode(fixture: SessionFixture): Promise<FakeNode & { id: string }> {
  const id = await createNode(database, fixture)
  const node = await engine.launch({ name: id, labels: {}, env: {}, bundle: 'production' })
  const address = node.status.status === 'running' ? node.status.address : ''
  await saveWhereabouts(database.pool, id, node.handle, address)
  changes.changed(fixture.sessionId)
  return Object.assign(node, { id })
}

async function endOf(fixture: SessionFixture, node: FakeNode & { id: string }): Promise<void> {
  engine.lose(node.spec.name)
  const end = { exitCode: 1, reason: 'failed', lastLogs: node.lines }
  await endNode(database.pool, node.id, { status: 'exited', ...end })
  changes.changed(fixture.sessionId)
}

async function all(lines: AsyncIterable<LogLine>): Promise<string[]> {
  const texts: string[] = []
  for await (const line of lines) texts.push(line.text)
  return texts
}

async function take(lines: AsyncGenerator<LogLine>, count: number): Promise<string[]> {
  const texts: string[] = []
  while (texts.length < count) {
    const next = await lines.next()
    if (next.done) break
    texts.push(next.value.text)
  }
  return texts
}

test('lines of ended nodes stand before those of the current one; the tail is taken of all', async () => {
  const fixture = await createSession(database)
  expect(await all(sessionLogs(fixture, {}))).toEqual([])
  const first = await startNode(fixture)
  first.print('a')
  first.print('b')
  expect(await all(sessionLogs(fixture, {}))).toEqual(['a', 'b'])
  await endOf(fixture, first)
  expect(await all(sessionLogs(fixture, { tail: 1 }))).toEqual(['b'])
  const second = await startNode(fixture)
  second.print('c')
  expect(await all(sessionLogs(fixture, {}))).toEqual(['a', 'b', 'c'])
  expect(await all(sessionLogs(fixture, { tail: 2 }))).toEqual(['b', 'c'])
  expect(await all(sessionLogs(fixture, { tail: 0 }))).toEqual([])
  expect(await all(sessionLogs(fixture, { since: second.lines[0]?.at }))).toContain('c')
  expect(await all(sessionLogs(fixture, { since: new Date(Date.now() + 60_000) }))).toEqual([])
})

test('following goes on over the end of a node and the coming of the next, once a line', async () => {
  const fixture = await createSession(database)
  const first = await startNode(fixture)
  for (const text of ['a', 'b', 'c']) first.print(text)
  const stop = new AbortController()
  const lines = sessionLogs(fixture, { tail: 2, follow: true, signal: stop.signal })
  expect(await take(lines, 2)).toEqual(['b', 'c'])
  const next = take(lines, 3)
  first.print('d')
  first.print('d')
  first.print('e')
  expect(await next).toEqual(['d', 'd', 'e'])

  const later = take(lines, 2)
  await endOf(fixture, first)
  const second = await startNode(fixture)
  second.print('f')
  second.print('g')
  expect(await later).toEqual(['f', 'g'])
  const rest = all(lines)
  stop.abort()
  expect(await rest).toEqual([])
})

test('following a session without a node waits for one; a deleted account ends it', async () => {
  const fixture = await createSession(database)
  const lines = sessionLogs(fixture, { follow: true })
  const first = take(lines, 1)
  const node = await startNode(fixture)
  node.print('hello')
  expect(await first).toEqual(['hello'])
  const rest = all(lines)
  await database.prisma.account.delete({ where: { id: fixture.accountId } })
  engine.lose(node.spec.name)
  expect(await rest).toEqual([])
})

test('another tenant’s account has no log, and a silent engine is said', async () => {
  const fixture = await createSession(database)
  const other = await createSession(database)
  await startNode(fixture)
  const stranger = { accountId: fixture.accountId, tenantId: other.tenantId }
  await expect(all(sessionLogs(stranger, {}))).rejects.toMatchObject({ code: 'account_not_found' })
  runtime.engineState = 'refuses'
  await expect(all(sessionLogs(fixture, {}))).rejects.toMatchObject({ code: 'runtime_unavailable' })
})
