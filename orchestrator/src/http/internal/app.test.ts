import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { MAX_COMMIT_BYTES } from '@palomar/session-node/contract'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { PalomarError } from '../../errors.ts'
import { createLogger } from '../../logger.ts'
import { createSecrets } from '../../secrets.ts'
import { createInternalApp } from './app.ts'

const secrets = createSecrets(Buffer.alloc(32, 7))
const session = '0190a0a0-0000-7000-8000-000000000001'
const node = '0190a0a0-0000-7000-8000-000000000002'
const token = secrets.nodeToken(session, node)
let server: Server
let refused: { sessionId: string; code: string }[] = []
let committed: unknown[] = []

beforeAll(async () => {
  const unused = async () => {
    throw new PalomarError('internal')
  }
  server = createInternalApp({
    secrets,
    attach: unused,
    readKeys: unused,
    commit: async (_id, commit) => {
      committed.push(commit)
      return { seq: commit.seq, applied: true }
    },
    refuseCommit: async (sessionId, error) => void refused.push({ sessionId, code: error.code }),
    storedMessage: unused,
    logger: createLogger('error', true),
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterAll(() => server.close())
beforeEach(() => {
  refused = []
  committed = []
})

async function post(path: string, body: string, bearer = token, id = session) {
  const { port } = server.address() as AddressInfo
  const response = await fetch(`http://127.0.0.1:${port}/internal/sessions/${id}/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
    body,
  })
  return { status: response.status, body: (await response.json()) as { code?: string } }
}

test('a good commit goes through, once', async () => {
  expect(await post('commits', '{"generation":1,"seq":1}')).toEqual({
    status: 200,
    body: { seq: 1, applied: true },
  })
  expect(committed).toEqual([{ generation: 1, seq: 1, keys: [], inbox: [], events: [] }])
  expect(refused).toEqual([])
})

test.each([
  ['not JSON', '{"generation":', 400, 'invalid_json'],
  ['outside the contract', '{"generation":1,"seq":0}', 400, 'invalid_request'],
  ['an unknown event', '{"generation":1,"seq":1,"events":[{"type":"party"}]}', 400, 'invalid_request'],
  ['oversized', `{"generation":1,"seq":1,"creds":"${'x'.repeat(MAX_COMMIT_BYTES)}"}`, 413, 'body_too_large'],
])('%s: refused, told once, nothing applied', async (_name, body, status, code) => {
  expect(await post('commits', body)).toMatchObject({ status, body: { code } })
  expect(refused).toEqual([{ sessionId: session, code }])
  expect(committed).toEqual([])
})

test('a token of another session, a forged one and none are refused, and mark no session', async () => {
  const other = '0190a0a0-0000-7000-8000-000000000003'
  for (const [bearer, id] of [
    [token, other],
    [`${node}.forged`, session],
    ['', session],
    [token, 'not-an-id'],
  ]) {
    expect((await post('commits', '{}', bearer, id)).status).toBe(401)
  }
  expect(refused).toEqual([])
})

test('a node attaches as itself only', async () => {
  const { status } = await post('attach', JSON.stringify({ node_id: session, version: '1' }))
  expect(status).toBe(401)
})
