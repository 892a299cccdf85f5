import { describe, expect, test } from 'vitest'
import { until } from '../harness/palomar-client.ts'
import { useAccount } from './with-account.ts'

interface Message {
  id: string
  wa_id: string
  status: string
  correlation_id: string | null
}

describe('sending over the API, with one paired account', () => {
  const running = useAccount()
  const { api, text, arrived } = running

  test('a recipient in every form lands in one conversation', async () => {
    const forms = [
      running.contact.phone,
      `+${running.contact.phone}`,
      `${running.contact.phone}@s.whatsapp.net`,
      `${running.contact.phone}@c.us`,
      running.contact.lid,
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
      (await api().ok<{ id: string }>('GET', `/api/conversations/${id}?account_id=${running.ana.id}`)).id
    expect([...ids]).toEqual([await by([...ids][0] ?? '')])
    expect(await by(running.contact.phone)).toBe([...ids][0])
    expect(await by(running.contact.lid)).toBe([...ids][0])
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
          `/api/conversations/${running.contact.phone}/messages?account_id=${id}`,
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
})
