import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type PairedAccount, pairAccount } from '../harness/pairing.ts'
import { type EventStream, openEvents, type PalomarClient, palomarClient } from '../harness/palomar-client.ts'
import { createTenant } from '../orchestrator/src/tenants/identity.ts'
import { useStack } from './with-stack.ts'

describe('two tenants', () => {
  const running = useStack({ runtime: 'process' })
  let stranger: PalomarClient
  let strangerEvents: EventStream
  let ana: PairedAccount
  let messageId: string
  let conversationId: string
  let pool: Pool

  beforeAll(async () => {
    pool = new Pool({ connectionString: running.stack.databaseUrl, max: 1 })
    const { key } = await createTenant(pool, { name: 'stranger' })
    stranger = palomarClient(running.stack.client.url, key)
    strangerEvents = await openEvents(stranger)
    ana = await pairAccount(running.stack, running.events, 'Ana')
    const contact = await running.stack.simulator.admin.addContact({ behaviour: { answers: {} } })
    const sent = await running.stack.client.ok<{ id: string; conversation_id: string }>(
      'POST',
      '/api/messages',
      {
        account_id: ana.id,
        to: contact.phone,
        type: 'text',
        text: { body: 'private' },
      },
    )
    messageId = sent.id
    conversationId = sent.conversation_id
    await running.events.waitFor('the answer', (event) => event.type === 'message.received')
  })
  afterAll(async () => {
    strangerEvents?.close()
    await pool?.end()
  })

  test('whatever is asked for by id does not exist for the other, and nothing changes', async () => {
    const account = `/api/accounts/${ana.id}`
    const asked: [string, string, unknown?][] = [
      ['GET', account],
      ['PATCH', account, { name: 'mine' }],
      ['DELETE', account],
      ['GET', `${account}/session`],
      ['POST', `${account}/session`],
      ['POST', `${account}/session/stop`],
      ['DELETE', `${account}/session`],
      ['GET', `${account}/session/qr`],
      ['POST', `${account}/session/pairing-code`, { phone: '351912345678' }],
      ['GET', `${account}/logs`],
      [
        'POST',
        '/api/messages',
        { account_id: ana.id, to: '+351912345678', type: 'text', text: { body: 'x' } },
      ],
      ['GET', `/api/messages/${messageId}`],
      ['POST', `/api/messages/${messageId}/cancel`],
      ['POST', `/api/messages/${messageId}/retry`],
      ['GET', `/api/conversations/${conversationId}`],
      ['GET', `/api/conversations/${conversationId}/messages`],
      ['GET', `/api/conversations/${conversationId}/messages?account_id=${ana.id}`],
    ]
    for (const [method, path, body] of asked) {
      const answer = await stranger.request(method, path, body)
      expect({ method, path, status: answer.status }).toEqual({ method, path, status: 404 })
    }
    const mine = await running.stack.client.ok<{ name: string }>('GET', account)
    expect(mine.name).toBe('Ana')
    const session = await running.stack.client.ok<{ state: string; desired: string }>(
      'GET',
      `${account}/session`,
    )
    expect(session).toMatchObject({ state: 'active', desired: 'running' })
  })

  test('lists are empty, and the WebSocket is silent even when the other’s account is asked for', async () => {
    expect((await stranger.ok<{ data: unknown[] }>('GET', '/api/accounts')).data).toEqual([])
    expect((await stranger.ok<{ data: unknown[] }>('GET', '/api/conversations')).data).toEqual([])
    expect(
      (await stranger.ok<{ data: unknown[] }>('GET', `/api/conversations?account_id=${ana.id}`)).data,
    ).toEqual([])
    const spying = await openEvents(stranger, `?account_id=${ana.id}`)
    const before = running.events.events.length
    await running.stack.client.ok('POST', '/api/messages', {
      account_id: ana.id,
      to: ana.phone,
      type: 'text',
      text: { body: 'note to self' },
    })
    await running.events.waitFor('news', () => running.events.events.length > before)
    // The stranger's own event comes after whatever could have leaked.
    await stranger.ok('POST', '/api/accounts', { name: 'own', start: false })
    await strangerEvents.waitFor('its own event', (event) => event.type === 'session.created')
    expect(strangerEvents.events.map(({ type }) => type)).toEqual(['session.created'])
    expect(spying.events).toEqual([])
    spying.close()
  })

  test('an Idempotency-Key of one is nothing to the other', async () => {
    const own = await stranger.ok<{ id: string }>('POST', '/api/accounts', { name: 'own', start: false })
    const key = { 'Idempotency-Key': 'the-same' }
    const first = await running.stack.client.request(
      'POST',
      '/api/messages?async=true',
      { account_id: ana.id, to: ana.phone, type: 'text', text: { body: 'x' } },
      key,
    )
    expect(first.status).toBe(202)
    const second = await stranger.request(
      'POST',
      '/api/messages?async=true',
      { account_id: own.id, to: '+351912345678', type: 'text', text: { body: 'y' } },
      key,
    )
    expect(second.status).toBe(202)
    expect(second.headers.get('idempotent-replayed')).toBeNull()
  })
})
