import { afterEach, expect, test } from 'vitest'
import { createTestDatabase } from '../../test/database.ts'
import { createNode, createTenant } from '../../test/session-fixture.ts'
import { createFanOut } from '../events/fan-out.ts'
import type { StoredEvent } from '../events/types.ts'
import { createLogger } from '../logger.ts'
import { createNodeClients } from '../nodes/node-clients.ts'
import { createSecrets } from '../secrets.ts'
import { createLifecycle } from '../sessions/lifecycle.ts'
import { createSessionChanges } from '../sessions/session-changes.ts'
import { createAccounts } from './accounts.ts'

const database = await createTestDatabase()
const logger = createLogger('error', true)
const fanOut = createFanOut(logger)
const clients = createNodeClients(createSecrets(Buffer.alloc(32, 1)))
const sessions = { database, fanOut, changes: createSessionChanges() }
let woken: (string | undefined)[] = []
const reconciler = { wake: (sessionId?: string) => void woken.push(sessionId) }
const lifecycle = createLifecycle({ ...sessions, clients, reconciler, logger })
const accounts = createAccounts({ ...sessions, lifecycle, reconciler, logger })

const tenantId = await createTenant(database)
const strangerId = await createTenant(database)
const notFound = { code: 'account_not_found' }

afterEach(async () => {
  woken = []
  await database.pool.query('delete from account')
})

test('creates an account with its session, says so once, and has it started', async () => {
  const events: StoredEvent[] = []
  const unsubscribe = fanOut.subscribe((some) => void events.push(...some))
  const account = await accounts.create(tenantId, { name: 'Shop', metadata: { branch: 7 } })
  unsubscribe()
  expect(account).toMatchObject({
    name: 'Shop',
    channel: 'baileys',
    phone: null,
    metadata: { branch: 7 },
    state: 'created',
  })
  const session = await lifecycle.readSession({ tenantId, accountId: account.id })
  expect(session).toMatchObject({ desired: 'running', state: 'created', node: null })
  expect(events).toMatchObject([
    {
      type: 'session.created',
      tenant_id: tenantId,
      account_id: account.id,
      data: { account_id: account.id, session_id: session.id, state: 'created', name: 'Shop' },
    },
  ])
  expect(woken).toEqual([session.id])
})

test('an account that is not to start waits', async () => {
  const { id } = await accounts.create(tenantId, { name: 'Later', start: false })
  expect(await lifecycle.readSession({ tenantId, accountId: id })).toMatchObject({ desired: 'stopped' })
  expect(woken).toEqual([])
})

test('pages go from the newest to the oldest, and what comes meanwhile shifts nothing', async () => {
  for (const name of ['a', 'b', 'c', 'd', 'e']) await accounts.create(tenantId, { name })
  await accounts.create(strangerId, { name: 'not ours' })
  // As of one moment, so that only the id can tell them apart.
  await database.pool.query('update account set created_at = $1', [new Date()])
  const names: string[] = []
  let cursor: string | undefined
  for (;;) {
    const page = await accounts.list(tenantId, { cursor, limit: 2 })
    names.push(...page.data.map((account) => account.name))
    if (names.length === 2) await accounts.create(tenantId, { name: 'newer' })
    if (page.next_cursor === null) break
    cursor = page.next_cursor
  }
  expect(names).toEqual(['e', 'd', 'c', 'b', 'a'])
  await expect(accounts.list(tenantId, { cursor: 'nonsense', limit: 2 })).rejects.toMatchObject({
    code: 'invalid_cursor',
  })
})

test('changes only what is given', async () => {
  const { id, updated_at } = await accounts.create(tenantId, { name: 'a', metadata: { x: 1 } })
  expect(await accounts.update(tenantId, id, { name: 'b' })).toMatchObject({ name: 'b', metadata: { x: 1 } })
  const changed = await accounts.update(tenantId, id, { metadata: { y: 2 } })
  expect(changed).toMatchObject({ name: 'b', metadata: { y: 2 } })
  expect(changed.updated_at >= updated_at).toBe(true)
})

test('deleting takes all that belongs to it, though its node does not answer, and nothing else', async () => {
  const other = await accounts.create(tenantId, { name: 'other' })
  const { id } = await accounts.create(tenantId, { name: 'a' })
  const { id: sessionId } = await lifecycle.readSession({ tenantId, accountId: id })
  const nodeId = await createNode(database, { tenantId, accountId: id, sessionId })
  await database.prisma.node.update({ where: { id: nodeId }, data: { address: 'http://127.0.0.1:1' } })
  await database.prisma.session.update({
    where: { id: sessionId },
    data: { state: 'active', creds: Buffer.from('sealed') },
  })
  await accounts.delete(tenantId, id)
  await expect(accounts.read(tenantId, id)).rejects.toMatchObject(notFound)
  for (const table of ['session', 'node', 'signal_key', 'inbox_entry', 'credential_archive']) {
    const column = table === 'session' ? 'id' : 'session_id'
    const { rowCount } = await database.pool.query(`select from ${table} where ${column} = $1`, [sessionId])
    expect([table, rowCount]).toEqual([table, 0])
  }
  expect(woken.at(-1)).toBeUndefined()
  expect(await accounts.read(tenantId, other.id)).toMatchObject({ name: 'other' })
})

test('another tenant’s account does not exist, for any verb', async () => {
  const { id } = await accounts.create(tenantId, { name: 'a' })
  const account = { tenantId: strangerId, accountId: id }
  await expect(accounts.read(strangerId, id)).rejects.toMatchObject(notFound)
  await expect(accounts.update(strangerId, id, { name: 'mine' })).rejects.toMatchObject(notFound)
  await expect(accounts.delete(strangerId, id)).rejects.toMatchObject(notFound)
  for (const verb of [
    'readSession',
    'startSession',
    'restartSession',
    'stopSession',
    'logoutSession',
  ] as const)
    await expect(lifecycle[verb](account)).rejects.toMatchObject(notFound)
  expect((await accounts.list(strangerId, { limit: 10 })).data).toEqual([])
  expect(await accounts.read(tenantId, id)).toMatchObject({ name: 'a', state: 'created' })
})
