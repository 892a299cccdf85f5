import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import type { StoredEvent } from '../events/types.ts'
import { createLogger } from '../logger.ts'
import { createMetrics } from '../metrics.ts'
import { createGateway, type Gateway } from './gateway.ts'

const account = '0190a0a0-0000-7000-8000-000000000001'
const other = '0190a0a0-0000-7000-8000-000000000002'
let server: Server
let gateway: Gateway
afterEach(async () => {
  gateway.close()
  server.closeAllConnections()
  await new Promise((done) => server.close(done))
})

async function start(
  options: { maxBufferedBytes?: number; heartbeatMs?: number; allowedOrigins?: string[] } = {},
) {
  let publish: (events: StoredEvent[]) => void = () => undefined
  const metrics = createMetrics()
  gateway = createGateway({
    authenticate: async (request) =>
      request.headers['x-api-key']
        ? { tenantId: String(request.headers['x-api-key']), keyId: 'k', scopes: ['read'] }
        : null,
    subscribe(listener) {
      publish = listener
      return () => undefined
    },
    allowedOrigins: options.allowedOrigins ?? [],
    logger: createLogger('error', true),
    metrics,
    ...options,
  })
  server = createServer()
  gateway.attach(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`
  return { url, metrics, publish: (events: StoredEvent[]) => publish(events) }
}

const event = (id: number, tenant: string, over: Partial<StoredEvent> = {}): StoredEvent => ({
  id: String(id),
  type: 'message.received',
  tenant_id: tenant,
  account_id: account,
  created_at: new Date(0).toISOString(),
  data: {},
  ...over,
})

async function connect(url: string, tenant: string, query = '') {
  const socket = new WebSocket(url + query, { headers: { 'x-api-key': tenant } })
  const inbox: { type: string; id?: string; tenant_id?: string }[] = []
  socket.on('message', (data) => inbox.push(JSON.parse(String(data))))
  await once(socket, 'message')
  return { socket, inbox }
}

test('a tenant hears its own events, in order, and nothing of another', async () => {
  const { url, publish } = await start()
  const a = await connect(url, 'a')
  const b = await connect(url, 'b')
  publish([event(1, 'a'), event(2, 'b'), event(3, 'a')])
  await expect.poll(() => a.inbox.length).toBe(3)
  await expect.poll(() => b.inbox.length).toBe(2)
  expect(a.inbox.map(({ id }) => id)).toEqual([undefined, '1', '3'])
  expect(b.inbox.map(({ id }) => id)).toEqual([undefined, '2'])
  expect(a.inbox[1]).not.toHaveProperty('tenant_id')
})

test('a subscription narrows to accounts and types, by query and by message', async () => {
  const { url, publish } = await start()
  const { socket, inbox } = await connect(url, 'a', `?account_id=${account}`)
  publish([event(1, 'a', { account_id: other }), event(2, 'a')])
  await expect.poll(() => inbox.length).toBe(2)
  socket.send(JSON.stringify({ type: 'subscribe', events: ['message.read'] }))
  await expect.poll(() => inbox.length).toBe(3)
  publish([event(3, 'a'), event(4, 'a', { type: 'message.read', account_id: other })])
  await expect.poll(() => inbox.length).toBe(4)
  expect(inbox.map(({ id }) => id).filter(Boolean)).toEqual(['2', '4'])
})

test('no key is 401, a foreign origin 403, a bad filter 400, another path 404', async () => {
  const { url } = await start({ allowedOrigins: ['https://ok.example'] })
  const status = async (target: string, headers: Record<string, string>) => {
    const socket = new WebSocket(target, { headers })
    const [, response] = await once(socket, 'unexpected-response')
    return response.statusCode
  }
  expect(await status(url, {})).toBe(401)
  expect(await status(url, { 'x-api-key': 'a', origin: 'https://evil.example' })).toBe(403)
  expect(await status(`${url}?event=nope`, { 'x-api-key': 'a' })).toBe(400)
  expect(await status(url.replace('/ws', '/other'), { 'x-api-key': 'a' })).toBe(404)
})

test('a client that does not read is closed, and the others go on', async () => {
  const { url, publish, metrics } = await start({ maxBufferedBytes: 64 * 1024 })
  const slow = await connect(url, 'a')
  const quick = await connect(url, 'a')
  slow.socket.pause()
  const big = 'x'.repeat(256 * 1024)
  let sent = 0
  await expect
    .poll(
      async () => {
        publish([event(++sent, 'a', { data: { big } })])
        return (await metrics.webSocketDrops.get()).values[0]?.value ?? 0
      },
      { interval: 5, timeout: 10_000 },
    )
    .toBe(1)
  await expect.poll(() => quick.inbox.length).toBe(sent + 1)
  expect(quick.socket.readyState).toBe(WebSocket.OPEN)
})

test('a client that answers no ping is terminated', async () => {
  const { url } = await start({ heartbeatMs: 50 })
  const socket = new WebSocket(url, { headers: { 'x-api-key': 'a' }, autoPong: false })
  const [code] = await once(socket, 'close')
  expect(code).toBe(1006)
})

test('a message that is not a subscription closes the client with the reason', async () => {
  const { url } = await start()
  const { socket } = await connect(url, 'a')
  socket.send('{"type":"nope"}')
  expect((await once(socket, 'close'))[0]).toBe(1008)
})
