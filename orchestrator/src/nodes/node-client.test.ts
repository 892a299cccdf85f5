import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, expect, test } from 'vitest'
import { createSecrets } from '../secrets.ts'
import { createNodeClient, type NodeClient } from './node-client.ts'
import { createNodeClients } from './node-clients.ts'

const open: (NodeClient | Server)[] = []
afterEach(async () => {
  for (const one of open.splice(0)) {
    if ('closeAllConnections' in one) one.closeAllConnections()
    await one.close()
  }
})

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  open.push(server)
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function nodeThat(listener: RequestListener): Promise<NodeClient> {
  const client = createNodeClient(await serve(listener), 'a-token')
  open.push(client)
  return client
}

const answer = (status: number, body: unknown): RequestListener => {
  return (_request, response) => void response.writeHead(status).end(JSON.stringify(body))
}
const problem = (status: number, code: string, more = {}) =>
  answer(status, { type: 'about:blank', title: code, status, code, ...more })

const command = {
  id: '3EB0AA',
  to: { jid: '49170@s.whatsapp.net', pn: '49170' },
  content: { type: 'text' as const, text: { body: 'hello' } },
}
const sent = { id: '3EB0AA', acked_at: 1, recipient: command.to, repeated: false }

test('sends by the contract, with the token', async () => {
  let seen: unknown
  const client = await nodeThat(async (request, response) => {
    const { method, url, headers } = request
    seen = { method, url, auth: headers.authorization, body: JSON.parse(await text(request)) }
    response.end(JSON.stringify(sent))
  })
  expect(await client.send(command)).toEqual(sent)
  expect(seen).toMatchObject({
    method: 'POST',
    url: '/messages',
    auth: 'Bearer a-token',
    body: { ...command, resolve: false, ack_timeout_ms: 20_000 },
  })
})

test.each([
  [409, 'not_connected', {}, { retryable: true, unknownOutcome: false }],
  [422, 'rejected', { wa_code: 479 }, { retryable: false, waCode: 479, unknownOutcome: false }],
  [422, 'rejected', { wa_code: 463, retryable: true }, { retryable: true, waCode: 463 }],
  [504, 'ack_timeout', {}, { retryable: true, unknownOutcome: true }],
  [500, 'internal', {}, { retryable: true, unknownOutcome: true }],
])('%i %s', async (status, code, more, expected) => {
  const client = await nodeThat(problem(status, code, more))
  await expect(client.send(command)).rejects.toMatchObject({ name: 'NodeError', code, ...expected })
})

test('an answer outside the contract is no success', async () => {
  const strange = await nodeThat(answer(200, { id: 7 }))
  await expect(strange.send(command)).rejects.toMatchObject({ code: 'bad_answer', unknownOutcome: true })
  const page = await nodeThat((_request, response) => void response.writeHead(502).end('<html>'))
  await expect(page.send(command)).rejects.toMatchObject({ code: 'bad_answer', unknownOutcome: true })
})

test('refused is certainly not sent', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  const client = createNodeClient(`http://127.0.0.1:${port}`, 'a-token')
  open.push(client)
  await expect(client.send(command)).rejects.toMatchObject({
    code: 'unreachable',
    retryable: true,
    unknownOutcome: false,
  })
})

test('cut or silent after the request was written is unknown', async () => {
  const cut = await nodeThat((request) => void (request.socket as Socket).resetAndDestroy())
  await expect(cut.send(command)).rejects.toMatchObject({ code: 'no_answer', unknownOutcome: true })
  const silent = await nodeThat(() => undefined)
  await expect(silent.health(50)).rejects.toMatchObject({ code: 'no_answer', unknownOutcome: true })
})

test('closing a client ends what it waits for', async () => {
  let reached: () => void = () => undefined
  const atNode = new Promise<void>((resolve) => {
    reached = resolve
  })
  const client = await nodeThat(() => reached())
  const call = client.send(command)
  await atNode
  await Promise.all([client.close(), expect(call).rejects.toMatchObject({ name: 'NodeError' })])
})

test('a node keeps its client and its connections; at another address it gets a new one', async () => {
  const secrets = createSecrets(Buffer.alloc(32, 1))
  const sockets = new Set<Socket>()
  const provenBy: (string | null)[] = []
  const address = await serve((request, response) => {
    sockets.add(request.socket)
    provenBy.push(secrets.verifyNodeToken('s', request.headers.authorization?.slice(7) ?? ''))
    response.end(JSON.stringify({ state: 'active' }))
  })
  const clients = createNodeClients(secrets)
  const node = { nodeId: 'n', sessionId: 's', address }
  for (let n = 0; n < 10; n++) await clients.of(node).session()
  expect(sockets.size).toBeLessThan(5)
  expect(new Set(provenBy)).toEqual(new Set(['n']))
  const moved = await serve(answer(200, { state: 'closed' }))
  expect(await clients.of({ ...node, address: moved }).session()).toEqual({ state: 'closed' })
  await clients.closeAll()
})
