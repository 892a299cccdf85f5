import { once } from 'node:events'
import { beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { type PairedAccount, pairAccount } from '../harness/pairing.ts'
import { until } from '../harness/palomar-client.ts'
import { useStack } from './with-stack.ts'

interface Message {
  id: string
  wa_id: string
  status: string
  correlation_id: string | null
  text?: { body: string }
}

describe('the API, with one paired account', () => {
  const running = useStack({ runtime: 'process' })
  let ana: PairedAccount
  let contact: { phone: string; jid: string; lid: string }
  beforeAll(async () => {
    ana = await pairAccount(running.stack, running.events, 'Ana')
    contact = await running.stack.simulator.admin.addContact({ name: 'Eva', behaviour: { reads: true } })
  })
  const api = () => running.stack.client
  const text = (body: string, over: Record<string, unknown> = {}) => ({
    account_id: ana.id,
    to: contact.phone,
    type: 'text',
    text: { body },
    ...over,
  })
  const arrived = async () =>
    (await running.stack.simulator.admin.received(contact.phone)).map((one) => one.text)

  test('pairing by code, typed on the phone', async () => {
    const { id } = await api().ok<{ id: string }>('POST', '/api/accounts', {
      name: 'by code',
      metadata: { team: 7 },
    })
    const phone = '5511977770001'
    const { code } = await api().ok<{ code: string }>('POST', `/api/accounts/${id}/session/pairing-code`, {
      phone: `+${phone}`,
    })
    expect(code).toMatch(/^[0-9A-Z]{8}$/)
    await running.stack.simulator.admin.enterPairingCode({ phone, code })
    await running.events.waitFor(
      'the connection',
      (event) => event.type === 'session.status.connected' && event.account_id === id,
    )
    const account = await api().ok('GET', `/api/accounts/${id}`)
    expect(account).toMatchObject({ phone, state: 'active', metadata: { team: 7 } })
    const again = await api().request('GET', `/api/accounts/${id}/session/qr`)
    expect(again).toMatchObject({ status: 409, body: { code: 'session_already_paired' } })
    expect((await api().request('DELETE', `/api/accounts/${id}`)).status).toBe(204)
    expect((await api().request('GET', `/api/accounts/${id}`)).status).toBe(404)
    await until(
      'the end of its device',
      () => running.stack.simulator.admin.counters(),
      ({ devices }) => !devices.some(({ jid }) => jid.startsWith(phone)),
    )
  })

  test('a QR as JSON and as a picture', async () => {
    const { id } = await api().ok<{ id: string }>('POST', '/api/accounts', { name: 'Q' })
    const qr = await api().ok<{ qr: string; expires_at: string; data_url: string }>(
      'GET',
      `/api/accounts/${id}/session/qr`,
    )
    expect(qr.qr).toContain('https://wa.me/settings/linked_devices#')
    expect(Date.parse(qr.expires_at)).toBeGreaterThan(Date.now())
    expect(qr.data_url).toMatch(/^data:image\/png;base64,/)
    const picture = await fetch(`${api().url}/api/accounts/${id}/session/qr`, {
      headers: { 'x-api-key': api().key, accept: 'image/png' },
    })
    expect(picture.headers.get('content-type')).toBe('image/png')
    expect([...new Uint8Array(await picture.arrayBuffer()).slice(1, 4)]).toEqual([0x50, 0x4e, 0x47])
    await api().ok('DELETE', `/api/accounts/${id}`)
  })

  test('a recipient in every form lands in one conversation', async () => {
    const forms = [
      contact.phone,
      `+${contact.phone}`,
      `${contact.phone}@s.whatsapp.net`,
      `${contact.phone}@c.us`,
      contact.lid,
    ]
    const ids = new Set<string>()
    for (const to of forms) {
      const sent = await api().ok<{ conversation_id: string; status: string }>(
        'POST',
        '/api/messages',
        text(`to ${to}`, { to }),
      )
      ids.add(sent.conversation_id)
    }
    expect(ids.size).toBe(1)
    const by = async (id: string) =>
      (await api().ok<{ id: string }>('GET', `/api/conversations/${id}?account_id=${ana.id}`)).id
    expect([...ids]).toEqual([await by([...ids][0] ?? '')])
    expect(await by(contact.phone)).toBe([...ids][0])
    expect(await by(contact.lid)).toBe([...ids][0])
  })

  test('a number that is not on WhatsApp', async () => {
    const answer = await api().request('POST', '/api/messages', text('nobody', { to: '+4915799999999' }))
    expect(answer).toMatchObject({ status: 422, body: { code: 'recipient_not_found' } })
    const message = await api().ok<Message>('GET', `/api/messages/${answer.body.message_id}`)
    expect(message.status).toBe('failed')
  })

  test('async: 202, then one message.ack with the correlation id', async () => {
    const answer = await api().request<{ correlation_id: string; message: Message }>(
      'POST',
      '/api/messages?async=true',
      text('async'),
    )
    expect(answer.status).toBe(202)
    const ack = await running.events.waitFor(
      'the ack',
      (event) => event.type === 'message.ack' && event.data.correlation_id === answer.body.correlation_id,
    )
    expect(ack.data).toMatchObject({ status: 'sent', message_id: answer.body.message.id })
  })

  test('Idempotency-Key: the first answer again; another body 422; sent once', async () => {
    const key = { 'Idempotency-Key': 'order-4711' }
    const [one, two] = await Promise.all([
      api().request<Message>('POST', '/api/messages', text('once'), key),
      api().request<Message>('POST', '/api/messages', text('once'), key),
    ])
    expect([one.status, two.status].sort()).toEqual([201, 409])
    const first = one.status === 201 ? one : two
    const again = await api().request<Message>('POST', '/api/messages', text('once'), key)
    expect(again.status).toBe(201)
    expect(again.body.id).toBe(first.body.id)
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    const other = await api().request('POST', '/api/messages', text('twice'), key)
    expect(other).toMatchObject({ status: 422, body: { code: 'idempotency_mismatch' } })
    expect((await arrived()).filter((body) => body === 'once')).toEqual(['once'])
  })

  test('bulk: an answer per item, bad ones harm no other, order is kept', async () => {
    const messages: unknown[] = Array.from({ length: 50 }, (_, n) => text(`bulk ${n}`))
    messages.splice(
      10,
      0,
      text('x', { to: 'nonsense' }),
      { type: 'text' },
      text('y', { account_id: '0190a0a0-0000-7000-8000-000000000000' }),
    )
    const { results } = await api().ok<{ results: { status: number; error?: { code: string } }[] }>(
      'POST',
      '/api/messages/bulk',
      { messages },
    )
    expect(results).toHaveLength(53)
    expect(results.slice(10, 13).map(({ error }) => error?.code)).toEqual([
      'invalid_recipient',
      'invalid_request',
      'account_not_found',
    ])
    expect(results.filter(({ status }) => status === 202)).toHaveLength(50)
    const bulk = await until(
      'all at the contact',
      async () => (await arrived()).filter((body) => body?.startsWith('bulk ')),
      ({ length }) => length === 50,
    )
    expect(bulk).toEqual(Array.from({ length: 50 }, (_, n) => `bulk ${n}`))
  })

  test('a delayed message waits, holds up nobody, and can be cancelled', async () => {
    const send_at = new Date(Date.now() + 3_600_000).toISOString()
    const { message } = await api().ok<{ message: Message }>(
      'POST',
      '/api/messages?async=true',
      text('later', { send_at }),
    )
    expect(message.status).toBe('pending')
    await api().ok('POST', '/api/messages', text('now'))
    const cancelled = await api().ok<Message>('POST', `/api/messages/${message.id}/cancel`)
    expect(cancelled.status).toBe('cancelled')
    const told = await running.events.waitFor(
      'the end',
      ({ type, data }) => type === 'message.ack' && data.message_id === message.id,
    )
    expect(told.data).toMatchObject({ status: 'cancelled', correlation_id: message.correlation_id })
    expect(await api().request('POST', `/api/messages/${message.id}/cancel`)).toMatchObject({
      status: 409,
      body: { code: 'message_not_cancellable' },
    })
    expect(await arrived()).not.toContain('later')
  })

  test('who waits for a message that is cancelled meanwhile is told so', async () => {
    const { id } = await api().ok<{ id: string }>('POST', '/api/accounts', { name: 'not paired' })
    const waits = api().request('POST', '/api/messages?queue=true', text('never', { account_id: id }))
    const waiting = await until(
      'the message',
      () =>
        api().request<{ data?: Message[] }>(
          'GET',
          `/api/conversations/${contact.phone}/messages?account_id=${id}`,
        ),
      ({ body }) => body.data?.length === 1,
    )
    const message = waiting.body.data?.[0]
    // A try may just be finding out that the session is not connected.
    await until(
      'the cancellation',
      () => api().request('POST', `/api/messages/${message?.id}/cancel`),
      ({ status }) => status === 200,
    )
    expect(await waits).toMatchObject({
      status: 409,
      body: { code: 'message_cancelled', message_id: message?.id },
    })
    expect((await api().request('DELETE', `/api/accounts/${id}`)).status).toBe(204)
  })

  test('a reply quotes what it answers', async () => {
    const first = await api().ok<Message>('POST', '/api/messages', text('question'))
    const reply = await api().ok<Message & { context: { message_id: string } }>(
      'POST',
      '/api/messages',
      text('answer', { context: { message_id: first.id } }),
    )
    expect(reply.context.message_id).toBe(first.wa_id)
    const unknown = await api().request(
      'POST',
      '/api/messages',
      text('answer', { context: { message_id: '3EB0000000' } }),
    )
    expect(unknown).toMatchObject({ status: 404, body: { code: 'message_not_found' } })
  })

  test('pages: every message once, newest first, by cursor', async () => {
    const seen: string[] = []
    let cursor: string | null = null
    do {
      const query: string = cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''
      const page: { data: { id: string; timestamp: string }[]; next_cursor: string | null } = await api().ok(
        'GET',
        `/api/conversations/${contact.phone}/messages?account_id=${ana.id}&limit=7${query}`,
      )
      seen.push(...page.data.map(({ id }) => id))
      cursor = page.next_cursor
    } while (cursor)
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen.length).toBeGreaterThan(55)
    const conversations = await api().ok<{ data: { phone: string }[] }>('GET', '/api/conversations')
    expect(conversations.data.map(({ phone }) => phone)).toContain(contact.phone)
  })

  test('a browser opens the WebSocket with a ticket, once', async () => {
    const { ticket } = await api().ok<{ ticket: string }>('POST', '/api/ws/tickets')
    const url = `${api().url.replace('http', 'ws')}/ws?ticket=${ticket}`
    const socket = new WebSocket(url)
    const [ready] = await once(socket, 'message')
    expect(JSON.parse(String(ready))).toEqual({ type: 'ready' })
    socket.close()
    const [, response] = await once(new WebSocket(url), 'unexpected-response')
    expect(response.statusCode).toBe(401)
  })

  test('health, metrics, documents', async () => {
    const open = async (path: string) => {
      const response = await fetch(api().url + path)
      return { status: response.status, body: await response.text() }
    }
    expect(JSON.parse((await open('/health')).body)).toMatchObject({ status: 'ok' })
    expect(JSON.parse((await open('/health/db')).body)).toMatchObject({ status: 'ok' })
    expect(JSON.parse((await open('/health/nodes')).body)).toMatchObject({ wanted: 1, healthy: 1 })
    const metrics = (await open('/metrics')).body
    for (const name of [
      'palomar_http_request_duration_seconds',
      'palomar_commit_duration_seconds',
      'palomar_sessions',
    ])
      expect(metrics).toContain(name)
    expect(metrics).not.toContain(ana.id)
    const document = JSON.parse((await open('/api/openapi.json')).body)
    expect(document.openapi).toBe('3.1.0')
    const paths = Object.keys(document.paths)
    for (const path of [
      '/api/accounts',
      '/api/accounts/{id}/session/qr',
      '/api/messages',
      '/api/conversations/{id}/messages',
    ])
      expect(paths).toContain(path)
    expect((await open('/api/docs')).body).toContain('swagger-ui')
    expect((await open('/api/docs/assets/swagger-ui-bundle.js')).status).toBe(200)
  })

  test('logging out ends the device, keeps the messages, and a new QR can be asked for', async () => {
    await api().ok('DELETE', `/api/accounts/${ana.id}/session`)
    await until(
      'the end of the device',
      () => running.stack.simulator.admin.counters(),
      ({ devices }) => !devices.some(({ jid }) => jid.startsWith(ana.phone)),
    )
    expect(await api().ok('GET', `/api/accounts/${ana.id}/session`)).toMatchObject({
      state: 'logged_out',
      desired: 'stopped',
    })
    const refused = await api().request('POST', '/api/messages', text('too late'))
    expect(refused).toMatchObject({
      status: 409,
      body: { code: 'session_not_connected', state: 'logged_out' },
    })
    await api().ok('POST', `/api/accounts/${ana.id}/session`)
    const { qr } = await api().ok<{ qr: string }>('GET', `/api/accounts/${ana.id}/session/qr`)
    await running.stack.simulator.admin.scanQr({ qr, phone: ana.phone })
    await until(
      'active again',
      () => api().ok<{ state: string }>('GET', `/api/accounts/${ana.id}/session`),
      ({ state }) => state === 'active',
    )
    await api().ok('POST', '/api/messages', text('back again'))
    expect(await arrived()).toContain('back again')
  })
})
