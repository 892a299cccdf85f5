import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { createTestDatabase } from '../../test/database.ts'
import { createNode, createSession, type SessionFixture } from '../../test/session-fixture.ts'
import { createFanOut } from '../events/fan-out.ts'
import { createLogger } from '../logger.ts'
import { createNodeClients } from '../nodes/node-clients.ts'
import { createSecrets } from '../secrets.ts'
import { createAttach } from './attach.ts'
import { createInboxStore } from './inbox-store.ts'
import { createKeyStore } from './key-store.ts'
import { createPairing } from './pairing.ts'
import { createSessionChanges } from './session-changes.ts'
import type { SessionState } from './state-table.ts'

const database = await createTestDatabase()
const secrets = createSecrets(Buffer.alloc(32, 1))
const clients = createNodeClients(secrets)
const changes = createSessionChanges()
const woken: (string | undefined)[] = []
const reconciler = { wake: (sessionId?: string) => void woken.push(sessionId) }
const fanOut = createFanOut(createLogger('error', true))
const pairing = createPairing({ database, fanOut, changes, clients, reconciler })
const attach = createAttach({
  ...{ database, changes, keys: createKeyStore(secrets), inbox: createInboxStore(secrets) },
  settings: { mark_online: true, max_pending_bytes: 1 },
})

const servers: Server[] = []
afterEach(async () => {
  await clients.closeAll()
  for (const server of servers.splice(0)) server.close().closeAllConnections()
})

const qr = { text: '2@abc', expires_at: '2030-01-01T00:00:20.000Z' }
const answer = (status: number, body: unknown): RequestListener => {
  return (_request, response) => void response.writeHead(status).end(JSON.stringify(body))
}
const problem = (status: number, code: string) =>
  answer(status, { type: 'about:blank', title: code, status, code })

/** A node's row and its server, not yet attached; its id. */
async function startNode(fixture: SessionFixture, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  const id = await createNode(database, fixture, 'starting')
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  await database.prisma.node.update({ where: { id }, data: { address } })
  return id
}

async function attachedNode(fixture: SessionFixture, listener: RequestListener): Promise<string> {
  const node_id = await startNode(fixture, listener)
  await attach(fixture.sessionId, { node_id, version: '1' })
  return node_id
}

const stateOf = async ({ sessionId }: SessionFixture) =>
  (await database.prisma.session.findUniqueOrThrow({ where: { id: sessionId } })).state as SessionState

test('gives the node’s QR, and asks it to wait as long as the caller would', async () => {
  const fixture = await createSession(database, { state: 'waiting_qr' })
  let asked = ''
  await attachedNode(fixture, (request, response) => {
    asked = request.url ?? ''
    answer(200, qr)(request, response)
  })
  expect(await pairing.getQr(fixture, 5_000)).toEqual(qr)
  expect(asked).toMatch(/^\/session\/qr\?wait_ms=(5000|4\d\d\d)$/)
})

test('waits for a node that is still on its way', async () => {
  const fixture = await createSession(database)
  const waiting = pairing.getQr(fixture, 10_000)
  await attachedNode(fixture, answer(200, qr))
  expect(await waiting).toEqual(qr)
  expect(woken).toContain(fixture.sessionId)
})

test('a node that goes away is followed by the next', async () => {
  const fixture = await createSession(database)
  let reached: () => void = () => undefined
  const atNode = new Promise<void>((resolve) => {
    reached = resolve
  })
  const first = await attachedNode(fixture, (request) => {
    reached()
    request.socket.destroy()
  })
  const waiting = pairing.getQr(fixture, 10_000)
  await atNode
  await database.prisma.node.update({ where: { id: first }, data: { status: 'exited' } })
  await attachedNode(fixture, answer(200, qr))
  expect(await waiting).toEqual(qr)
})

test('a node that never comes, or comes but does not attach, is unavailable in time', async () => {
  const none = await createSession(database)
  const mute = await createSession(database)
  await startNode(mute, answer(200, qr))
  for (const fixture of [none, mute])
    await expect(pairing.getQr(fixture, 100)).rejects.toMatchObject({ code: 'node_unavailable', status: 503 })
})

test('a caller that has gone is not waited for', async () => {
  const gone = new AbortController()
  const waiting = pairing.getQr(await createSession(database), 600_000, gone.signal)
  gone.abort()
  await expect(waiting).rejects.toMatchObject({ code: 'node_unavailable' })
})

test.each([
  ['closed', 'starting'],
  ['error', 'starting'],
  ['waiting_qr', 'waiting_qr'],
] as const)('asking for a code in %s leads to %s, with the node that is there', async (state, after) => {
  const fixture = await createSession(database, { state })
  const node = await attachedNode(fixture, answer(200, qr))
  expect(await pairing.getQr(fixture, 5_000)).toEqual(qr)
  expect(await stateOf(fixture)).toBe(after)
  expect(await database.prisma.node.findUniqueOrThrow({ where: { id: node } })).toMatchObject({
    status: 'running',
  })
})

test('a session that was logged out pairs again with a fresh node', async () => {
  const fixture = await createSession(database, { state: 'logged_out' })
  const old = await attachedNode(fixture, problem(500, 'internal'))
  await expect(pairing.getQr(fixture, 100)).rejects.toMatchObject({ code: 'node_unavailable' })
  expect(await stateOf(fixture)).toBe('starting')
  expect(await database.prisma.node.findUniqueOrThrow({ where: { id: old } })).toMatchObject({
    status: 'stopping',
  })
})

test('says why there is no code', async () => {
  const stopped = await createSession(database, { desired: 'stopped', state: 'closed' })
  await expect(pairing.getQr(stopped, 100)).rejects.toMatchObject({ code: 'session_stopped' })

  const paired = await createSession(database, { state: 'active' })
  const me = { jid: '49170@s.whatsapp.net' }
  await database.prisma.session.update({ where: { id: paired.sessionId }, data: { me } })
  await expect(pairing.getQr(paired, 100)).rejects.toMatchObject({ code: 'session_already_paired' })

  const other = await createSession(database)
  const stranger = { accountId: paired.accountId, tenantId: other.tenantId }
  await expect(pairing.getQr(stranger, 100)).rejects.toMatchObject({ code: 'account_not_found' })
})

test.each([
  [409, 'already_paired', 'session_already_paired'],
  [503, 'pairing_unavailable', 'pairing_unavailable'],
  [500, 'internal', 'node_unavailable'],
])('the node’s %i %s is %s', async (status, code, expected) => {
  const fixture = await createSession(database)
  await attachedNode(fixture, problem(status, code))
  await expect(pairing.getQr(fixture, 5_000)).rejects.toMatchObject({ code: expected })
})

test('a pairing code for a phone', async () => {
  const fixture = await createSession(database)
  const code = { code: 'ABCD1234', expires_at: qr.expires_at }
  await attachedNode(fixture, answer(200, code))
  expect(await pairing.requestPairingCode(fixture, '4917012345')).toEqual(code)
})
