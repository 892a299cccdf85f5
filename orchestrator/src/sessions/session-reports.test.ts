import { expect, test } from 'vitest'
import { createTestDatabase } from '../../test/database.ts'
import {
  createNode,
  createSession,
  createTenant,
  readSessionRow,
  type SessionFixture,
} from '../../test/session-fixture.ts'
import { createSecrets } from '../secrets.ts'
import { createKeyStore } from './key-store.ts'
import { applySessionReports, type QrReport, type StateReport } from './session-reports.ts'
import { lockSession } from './session-row.ts'

const database = await createTestDatabase()
const secrets = createSecrets(Buffer.alloc(32, 1))
const keys = createKeyStore(secrets)

function apply({ sessionId }: SessionFixture, ...reports: (StateReport | QrReport)[]) {
  const refused: unknown[] = []
  return database.transaction(async (tx) => {
    const session = await lockSession(tx, sessionId)
    if (!session) throw new Error('no session')
    const events = await applySessionReports(tx, session, reports, (report) => refused.push(report))
    return { events: events.map(({ type, data }) => ({ type, data })), refused }
  })
}

const sessionOf = ({ sessionId }: SessionFixture) =>
  database.prisma.session.findUniqueOrThrow({ where: { id: sessionId }, include: { account: true } })

const me = { jid: '49170@s.whatsapp.net', pn: '49170', lid: '10001', name: 'Ada' }
const qr: QrReport = { type: 'qr', text: '2@abc', expires_at: '2030-01-01T00:00:20.000Z' }

test('pairing: QR, connecting, active, with who it is', async () => {
  const fixture = await createSession(database, { state: 'starting' })
  const ids = { account_id: fixture.accountId, session_id: fixture.sessionId }
  expect((await apply(fixture, qr)).events).toEqual([
    {
      type: 'session.qr.updated',
      data: { ...ids, state: 'waiting_qr', qr: { text: qr.text, expires_at: qr.expires_at } },
    },
  ])
  expect(await sessionOf(fixture)).toMatchObject({ state: 'waiting_qr', qrText: '2@abc' })

  const connected = await apply(
    fixture,
    { type: 'state', state: 'connecting' },
    { type: 'state', state: 'active', me },
    { type: 'state', state: 'active', me },
  )
  expect(connected.events).toEqual([
    { type: 'session.status.connected', data: { ...ids, state: 'active', me } },
  ])
  expect(await sessionOf(fixture)).toMatchObject({
    state: 'active',
    qrText: null,
    me,
    connectedAt: expect.any(Date),
    account: { phone: '49170', lid: '10001', pushName: 'Ada' },
  })
})

test('disconnected is told once a real transition, with code and reason', async () => {
  const fixture = await createSession(database, { state: 'active' })
  const first = await apply(
    fixture,
    { type: 'state', state: 'reconnecting', code: 428, reason: 'connection closed' },
    { type: 'state', state: 'reconnecting', code: 503, reason: 'unavailable\0' },
  )
  expect(first.events).toMatchObject([
    {
      type: 'session.status.disconnected',
      data: { state: 'reconnecting', code: 428, reason: 'connection closed' },
    },
  ])
  expect(await readSessionRow(database, fixture.sessionId)).toMatchObject({
    state: 'reconnecting',
    stateCode: 503,
    stateReason: 'unavailable\ufffd',
  })
  expect((await apply(fixture, { type: 'state', state: 'active' })).events).toHaveLength(1)
  expect(await readSessionRow(database, fixture.sessionId)).toMatchObject({
    stateCode: null,
    stateReason: null,
  })
})

test('401 archives credentials and keys as they were sealed, then clears them', async () => {
  const fixture = await createSession(database, { state: 'active' })
  const { sessionId } = fixture
  await database.transaction(async (tx) => {
    await keys.writeCreds(tx, sessionId, '{"secret":1}')
    await keys.writeKeys(tx, sessionId, [{ type: 'session', id: 'x', value: 'ratchet' }])
  })
  const { events } = await apply(fixture, {
    type: 'state',
    state: 'logged_out',
    code: 401,
    reason: 'device removed',
  })
  expect(events).toMatchObject([
    {
      type: 'session.status.disconnected',
      data: { state: 'logged_out', code: 401, reason: 'device removed' },
    },
  ])
  expect(await sessionOf(fixture)).toMatchObject({ state: 'logged_out', creds: null, me: null })
  expect(await keys.readKeys(database.pool, sessionId, 'session', ['x'])).toEqual({})

  const archive = await database.prisma.credentialArchive.findFirstOrThrow({ where: { sessionId } })
  expect(archive.reason).toBe('401 device removed')
  expect(keys.openCreds(sessionId, archive.creds ?? Buffer.alloc(0))).toBe('{"secret":1}')
  const [key] = JSON.parse(Buffer.from(archive.keys ?? []).toString())
  const value = secrets.decrypt(Buffer.from(key.value, 'base64'), `key:${sessionId}:session:x`)
  expect([key.type, key.id, value.toString()]).toEqual(['session', 'x', 'ratchet'])
})

test.each([402, 403, 405, 411, 440, 500, 515])('code %s never costs the credentials', async (code) => {
  const fixture = await createSession(database, { state: 'active' })
  await database.transaction((tx) => keys.writeCreds(tx, fixture.sessionId, '{}'))
  await apply(fixture, { type: 'state', state: 'logged_out', code })
  const session = await sessionOf(fixture)
  expect(session.state).toBe('error')
  expect(session.creds).not.toBeNull()
})

test('a logout by our own request has no code', async () => {
  const fixture = await createSession(database, { state: 'active' })
  await database.transaction((tx) => keys.writeCreds(tx, fixture.sessionId, '{}'))
  await apply(fixture, { type: 'state', state: 'logged_out', reason: 'requested' })
  expect(await sessionOf(fixture)).toMatchObject({ state: 'logged_out', creds: null })
})

test('the goodbye of a node that is being replaced does not close the session', async () => {
  const fixture = await createSession(database, { state: 'starting' })
  const node = await createNode(database, fixture, 'stopping')
  const goodbye: StateReport = { type: 'state', state: 'closed', reason: 'requested' }
  expect(await apply(fixture, goodbye)).toEqual({ events: [], refused: [goodbye] })
  await database.prisma.node.update({ where: { id: node }, data: { status: 'running' } })
  expect((await apply(fixture, goodbye)).events).toHaveLength(1)
})

test('a session that is to be stopped listens to a logout only', async () => {
  const fixture = await createSession(database, { state: 'closed', desired: 'stopped' })
  const { events, refused } = await apply(fixture, { type: 'state', state: 'active', me }, qr)
  expect(events).toEqual([])
  expect(refused).toHaveLength(2)
  expect((await apply(fixture, { type: 'state', state: 'logged_out', code: 401 })).events).toHaveLength(1)
})

test('a phone that is paired twice in one tenant is told, not refused', async () => {
  const tenantId = await createTenant(database)
  const first = await createSession(database, { tenantId, state: 'connecting' })
  const second = await createSession(database, { tenantId, state: 'connecting' })
  const elsewhere = await createSession(database, { state: 'connecting' })
  const active: StateReport = { type: 'state', state: 'active', me }
  await apply(elsewhere, active)
  expect((await apply(first, active)).events[0]?.data).not.toHaveProperty('duplicate_of')
  expect((await apply(second, active)).events[0]?.data.duplicate_of).toEqual([first.accountId])
})

test('another phone on the account replaces number and LID together', async () => {
  const fixture = await createSession(database, { state: 'connecting' })
  await apply(fixture, { type: 'state', state: 'active', me })
  await apply(fixture, { type: 'state', state: 'active', me: { jid: '1@s.whatsapp.net', pn: '49171' } })
  expect((await sessionOf(fixture)).account).toMatchObject({ phone: '49171', lid: null, pushName: 'Ada' })
})
