import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { until } from '../harness/palomar-client.ts'
import { useAccount } from './with-account.ts'

describe('the API, with one paired account', () => {
  const running = useAccount()
  const { api, text, arrived } = running

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

  test('pages: every message once, newest first, by cursor', async () => {
    const messages = Array.from({ length: 56 }, (_, n) => text(`page ${n}`))
    await api().ok('POST', '/api/messages/bulk', { messages })
    await until('all at the contact', arrived, ({ length }) => length === messages.length)
    const seen: string[] = []
    let cursor: string | null = null
    do {
      const query: string = cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''
      const page: { data: { id: string; timestamp: string }[]; next_cursor: string | null } = await api().ok(
        'GET',
        `/api/conversations/${running.contact.phone}/messages?account_id=${running.ana.id}&limit=7${query}`,
      )
      seen.push(...page.data.map(({ id }) => id))
      cursor = page.next_cursor
    } while (cursor)
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen.length).toBeGreaterThan(55)
    const conversations = await api().ok<{ data: { phone: string }[] }>('GET', '/api/conversations')
    expect(conversations.data.map(({ phone }) => phone)).toContain(running.contact.phone)
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
    expect(metrics).not.toContain(running.ana.id)
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
    await api().ok('DELETE', `/api/accounts/${running.ana.id}/session`)
    await until(
      'the end of the device',
      () => running.stack.simulator.admin.counters(),
      ({ devices }) => !devices.some(({ jid }) => jid.startsWith(running.ana.phone)),
    )
    expect(await api().ok('GET', `/api/accounts/${running.ana.id}/session`)).toMatchObject({
      state: 'logged_out',
      desired: 'stopped',
    })
    const refused = await api().request('POST', '/api/messages', text('too late'))
    expect(refused).toMatchObject({
      status: 409,
      body: { code: 'session_not_connected', state: 'logged_out' },
    })
    await api().ok('POST', `/api/accounts/${running.ana.id}/session`)
    const { qr } = await api().ok<{ qr: string }>('GET', `/api/accounts/${running.ana.id}/session/qr`)
    await running.stack.simulator.admin.scanQr({ qr, phone: running.ana.phone })
    await until(
      'active again',
      () => api().ok<{ state: string }>('GET', `/api/accounts/${running.ana.id}/session`),
      ({ state }) => state === 'active',
    )
    await api().ok('POST', '/api/messages', text('back again'))
    expect(await arrived()).toContain('back again')
  })
})
