import { afterEach, expect, test } from 'vitest'
import { Town } from './town.ts'

let town: Town
afterEach(() => town.close())

async function call(
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; json: unknown }> {
  const response = await fetch(`${town.simulator.adminUrl}${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  return { status: response.status, json: await response.json() }
}

test('the whole of a session over HTTP', async () => {
  town = await Town.found()
  const client = town.stranger()
  const qr = await client.until('qr', () => client.qr)
  const scan = await call('POST', '/phones/scan', { qr, phone: '5511911112222', name: 'Ana' })
  expect(scan).toMatchObject({
    status: 200,
    json: { jid: '5511911112222:1@s.whatsapp.net', phone: '5511911112222' },
  })
  await client.open()

  const contact = await call('POST', '/contacts', { phone: '5511933334444', behaviour: { reads: true } })
  expect(contact).toMatchObject({ status: 200, json: { jid: '5511933334444@s.whatsapp.net' } })
  const id = await client.sendText('5511933334444@s.whatsapp.net', 'hello')
  await client.until('read', () => client.statusOf(id) === 4)
  const received = await call('GET', '/contacts/5511933334444/received')
  expect(received.json).toMatchObject([{ id, text: 'hello', type: 'text', times: 1, asked: 0 }])
  expect((await call('GET', '/contacts/5511933334444/unreadable')).json).toEqual([])

  const sent = await call('POST', '/contacts/send', {
    phone: '5511933334444',
    to: '5511911112222',
    text: 'hi',
  })
  expect(sent).toMatchObject({ status: 200, json: { ids: [expect.any(String)] } })
  await client.until('hi', () => client.texts().includes('hi'))
  expect((await call('GET', '/contacts/5511933334444/sent')).json).toMatchObject([
    { to: expect.any(String), resends: 0, dropped: false },
  ])

  expect((await call('PUT', '/faults', { latency_ms: 1 })).status).toBe(200)
  const counters = await call('GET', '/counters')
  expect(counters.json).toMatchObject({
    logins: 1,
    pairings: 1,
    violations: [],
    messages_in: 1,
    devices: [{ connected: true, connects: 1 }],
  })

  expect((await call('POST', '/devices/refuse', { jid: '5511911112222', code: 503, times: 1 })).status).toBe(
    200,
  )
  expect((await call('POST', '/devices/drop', { jid: '5511911112222', how: 'close' })).status).toBe(200)
  await client.until('close', () => client.state === 'close')
  client.connect()
  await client.until('503', () => client.closes.includes(503))
  expect((await call('POST', '/devices/unlink', { jid: '5511911112222' })).status).toBe(200)
})

test('nonsense is refused with a reason', async () => {
  town = await Town.found()
  expect(await call('POST', '/phones/scan', {})).toMatchObject({
    status: 400,
    json: { error: expect.any(String) },
  })
  expect(await call('POST', '/phones/scan', { qr: 'x' })).toMatchObject({ status: 400 })
  expect(await call('POST', '/devices/drop', { jid: '5511900000000' })).toMatchObject({ status: 404 })
  expect(await call('PUT', '/faults', { latency: 1 })).toMatchObject({ status: 400 })
  expect(await call('PUT', '/faults', { drop: 2 })).toMatchObject({ status: 400 })
  expect(await call('GET', '/contacts/5511900000000/received')).toMatchObject({ status: 404 })
})
