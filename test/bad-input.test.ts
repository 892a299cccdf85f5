import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { useStack } from './with-stack.ts'

describe('bad input', () => {
  const running = useStack({ runtime: 'process' })
  let account: string
  let database: Client
  beforeAll(async () => {
    const created = await running.stack.client.ok<{ id: string }>('POST', '/api/accounts', { name: 'Ana' })
    account = created.id
    database = new Client(running.stack.databaseUrl)
    await database.connect()
    await running.events.waitFor('a QR', (event) => event.type === 'session.qr.updated')
  })
  afterAll(() => database.end())

  const text = (over: Record<string, unknown> = {}) => ({
    account_id: account,
    to: '+351912345678',
    type: 'text',
    text: { body: 'hi' },
    ...over,
  })
  const unknownId = '0190a0a0-0000-7000-8000-000000000000'

  interface Case {
    name: string
    method?: string
    path: string | (() => string)
    body?: unknown
    headers?: Record<string, string>
    status: number
    code: string
    field?: string
  }
  const message = (
    name: string,
    body: () => unknown,
    status: number,
    code: string,
    field?: string,
  ): Case => ({
    name,
    path: '/api/messages',
    get body() {
      return body()
    },
    status,
    code,
    ...(field ? { field } : {}),
  })
  const cases: Case[] = [
    message('unknown account', () => text({ account_id: unknownId }), 404, 'account_not_found'),
    message('not connected', () => text(), 409, 'session_not_connected'),
    message('malformed phone', () => text({ to: 'not a phone' }), 400, 'invalid_recipient', 'to'),
    message('malformed account id', () => text({ account_id: 'x' }), 400, 'invalid_request', 'account_id'),
    message('unknown field', () => text({ colour: 'red' }), 400, 'invalid_request', 'colour'),
    message(
      'unknown field inside',
      () => text({ text: { body: 'x', size: 3 } }),
      400,
      'invalid_request',
      'text.size',
    ),
    message('missing body', () => text({ text: {} }), 400, 'invalid_request', 'text.body'),
    message('empty text', () => text({ text: { body: '' } }), 400, 'invalid_request', 'text.body'),
    message(
      'text too long',
      () => text({ text: { body: 'x'.repeat(65_537) } }),
      400,
      'invalid_request',
      'text.body',
    ),
    message('unknown type', () => text({ type: 'smoke' }), 400, 'invalid_request', 'type'),
    message('bad JSON', () => '{"account_id":', 400, 'invalid_json'),
    message(
      'body too large',
      () => text({ text: { body: 'x'.repeat(6 * 1024 * 1024) } }),
      413,
      'body_too_large',
    ),
    message('not an object', () => [1], 400, 'invalid_request', 'body'),
    {
      ...message('another content type', () => 'a=b', 415, 'unsupported_media_type'),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    },
    {
      name: 'no key',
      path: '/api/accounts',
      method: 'GET',
      headers: { authorization: '' },
      status: 401,
      code: 'unauthorized',
    },
    {
      name: 'wrong key',
      path: '/api/accounts',
      method: 'GET',
      headers: { authorization: `Bearer ${'x'.repeat(40)}` },
      status: 401,
      code: 'unauthorized',
    },
    { name: 'unknown path', path: '/api/nothing', method: 'GET', status: 404, code: 'not_found' },
    {
      name: 'wrong method',
      path: '/api/messages',
      method: 'DELETE',
      status: 405,
      code: 'method_not_allowed',
    },
    {
      name: 'unknown account',
      path: `/api/accounts/${unknownId}`,
      method: 'GET',
      status: 404,
      code: 'account_not_found',
    },
    {
      name: 'bad id',
      path: '/api/accounts/7',
      method: 'GET',
      status: 400,
      code: 'invalid_request',
      field: 'path.id',
    },
    {
      name: 'bad cursor',
      path: '/api/conversations?cursor=zzz',
      method: 'GET',
      status: 400,
      code: 'invalid_cursor',
    },
    {
      name: 'bad limit',
      path: '/api/accounts?limit=0',
      method: 'GET',
      status: 400,
      code: 'invalid_request',
      field: 'query.limit',
    },
    {
      name: 'unknown query',
      path: '/api/accounts?color=red',
      method: 'GET',
      status: 400,
      code: 'invalid_request',
      field: 'query.color',
    },
    {
      name: 'unknown message',
      path: `/api/messages/${unknownId}`,
      method: 'GET',
      status: 404,
      code: 'message_not_found',
    },
    {
      name: 'account without a name',
      path: '/api/accounts',
      body: {},
      status: 400,
      code: 'invalid_request',
      field: 'name',
    },
    {
      name: 'bad phone for a code',
      path: () => `/api/accounts/${account}/session/pairing-code`,
      body: { phone: '12' },
      status: 400,
      code: 'invalid_request',
      field: 'phone',
    },
  ]

  test.each(cases)('$name: $status $code', async (one) => {
    const before = await counts()
    const path = typeof one.path === 'function' ? one.path() : one.path
    const answer = await running.stack.client.request(one.method ?? 'POST', path, one.body, one.headers)
    expect({ status: answer.status, code: answer.body.code }).toEqual({ status: one.status, code: one.code })
    expect(answer.headers.get('content-type')).toContain('application/problem+json')
    if (one.field) {
      const fields = (answer.body.errors as { field: string }[]).map(({ field }) => field)
      expect(fields).toContain(one.field)
    }
    if (one.code === 'session_not_connected') expect(answer.body.state).toBe('waiting_qr')
    expect(await counts()).toEqual(before)
  })

  async function counts() {
    const { rows } = await database.query(
      'select (select count(*) from message) m, (select count(*) from conversation) c, (select count(*) from account) a, (select count(*) from lane_job) j',
    )
    return rows[0]
  }
})
