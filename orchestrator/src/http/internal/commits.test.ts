/** The bare way of commits against Express' own route: whatever is sent, the bytes that come back are the same. */
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { MAX_COMMIT_BYTES } from '@palomar/session-node/contract'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { abandon, answersIn, exchange, type RawRequest, rawRequest } from '../../../../harness/raw-http.ts'
import { PalomarError } from '../../errors.ts'
import { createLogger } from '../../logger.ts'
import { createSecrets } from '../../secrets.ts'
import { createInternalApp, type InternalApi } from './app.ts'
import { createCommitHandler } from './commits.ts'
import { createInternalListener } from './listener.ts'

const secrets = createSecrets(Buffer.alloc(32, 7))
const session = '0190a0a0-0000-7000-8000-000000000001'
const other = '0190a0a0-0000-7000-8000-000000000003'
const token = secrets.nodeToken(session, '0190a0a0-0000-7000-8000-000000000002')
const path = `/internal/sessions/${session}/commits`
const commit = '{"generation":1,"seq":1}'
const padded = (bytes: number) => commit + ' '.repeat(bytes - commit.length)

let calls: [string, unknown][] = []
let logged: unknown[] = []
const unused = async () => {
  throw new PalomarError('internal')
}
const api: InternalApi = {
  secrets,
  attach: unused,
  readKeys: unused,
  commit: async (_id, request) => {
    calls.push(['commit', request])
    if (request.seq === 410) throw new PalomarError('fenced')
    if (request.seq === 500) throw new Error('the database is away')
    return { seq: request.seq, applied: true }
  },
  refuseCommit: async (_id, error) => void calls.push(['refuse', error.code]),
  storedMessage: async () => 'raw',
  logger: Object.assign(createLogger('error', true), {
    error: (message: string, fields: unknown) => void logged.push([message, fields]),
  }),
}

const servers: Server[] = []
let bare: number
let express: number
beforeAll(async () => {
  const portOf = async (listener: RequestListener) => {
    const server = createServer(listener).listen(0, '127.0.0.1')
    servers.push(server)
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }
  bare = await portOf(createInternalListener(api))
  express = await portOf(createInternalApp(api))
})
afterAll(() => {
  for (const server of servers) server.close()
})
beforeEach(() => {
  calls = []
  logged = []
})

const request = ({ headers, ...rest }: Partial<RawRequest>) =>
  rawRequest({
    path,
    ...rest,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
  })
const last = request({ body: '{"generation":1,"seq":2}', headers: { connection: 'close' } })
const ok = { seq: 1, applied: true }

async function outcome(port: number, bytes: Buffer) {
  calls = []
  logged = []
  const wire = await exchange(port, bytes, last)
  return { wire, calls, logged }
}

test.each<[string, Partial<RawRequest>, number, unknown]>([
  ['a commit', { body: commit }, 200, ok],
  ['of the greatest length', { body: padded(MAX_COMMIT_BYTES) }, 200, ok],
  ['one byte longer', { body: padded(MAX_COMMIT_BYTES + 1) }, 413, 'body_too_large'],
  ['longer, in chunks', { body: padded(MAX_COMMIT_BYTES + 1), chunked: true }, 413, 'body_too_large'],
  ['in chunks', { body: commit, chunked: true }, 200, ok],
  ['gzipped', { body: gzipSync(commit), headers: { 'content-encoding': 'gzip' } }, 200, ok],
  ['gzip that is none', { body: commit, headers: { 'content-encoding': 'gzip' } }, 400, 'invalid_request'],
  [
    'of an unknown encoding',
    { body: commit, headers: { 'content-encoding': 'zip' } },
    415,
    'unsupported_media_type',
  ],
  [
    'with a charset',
    { body: commit, headers: { 'content-type': 'application/json; charset=UTF-8' } },
    200,
    ok,
  ],
  [
    'of another charset',
    { body: commit, headers: { 'content-type': 'application/json; charset=latin1' } },
    415,
    'unsupported_media_type',
  ],
  ['of another type', { body: commit, headers: { 'content-type': 'text/plain' } }, 400, 'invalid_request'],
  ['with a byte order mark', { body: `\ufeff${commit}` }, 200, ok],
  [
    'with bytes that are not UTF-8',
    { body: Buffer.from(`{"generation":1,"seq":1,"creds":"\xff"}`, 'latin1') },
    200,
    ok,
  ],
  ['no body', {}, 400, 'invalid_request'],
  ['an empty body', { body: '' }, 400, 'invalid_request'],
  ['white space', { body: ' \n' }, 400, 'invalid_json'],
  ['half a body', { body: '{"generation":1,' }, 400, 'invalid_json'],
  ['a text', { body: '"commit"' }, 400, 'invalid_json'],
  ['null', { body: 'null' }, 400, 'invalid_json'],
  ['an array', { body: '[]' }, 400, 'invalid_request'],
  ['outside the contract', { body: '{"generation":1,"seq":0}' }, 400, 'invalid_request'],
  ['fenced', { body: '{"generation":1,"seq":410}' }, 410, 'fenced'],
  ['what fails', { body: '{"generation":1,"seq":500}' }, 500, 'internal'],
  ['another session’s token', { body: commit, path: path.replace(session, other) }, 401, 'unauthorized'],
  ['no session', { body: commit, path: '/internal/sessions/none/commits' }, 401, 'unauthorized'],
  [
    'a forged token and a body too long',
    { body: padded(MAX_COMMIT_BYTES + 1), headers: { authorization: `Bearer ${token}x` } },
    401,
    'unauthorized',
  ],
  ['no token', { body: commit, headers: { authorization: '' } }, 401, 'unauthorized'],
  ['PUT', { method: 'PUT', body: commit }, 404, 'not_found'],
  ['GET', { method: 'GET' }, 404, 'not_found'],
  ['a query', { path: `${path}?a=1`, body: commit }, 200, ok],
  ['a slash at the end', { path: `${path}/`, body: commit }, 200, ok],
  ['capitals', { path: path.replace('commits', 'COMMITS'), body: commit }, 200, ok],
  ['another path', { method: 'GET', path: path.replace('commits', 'messages/1') }, 200, { raw: 'raw' }],
])('%s: answered as by Express, and the connection stays good', async (_name, raw, status, expected) => {
  const ours = await outcome(bare, request(raw))
  expect(ours).toEqual(await outcome(express, request(raw)))
  const [answer, next, ...more] = answersIn(ours.wire)
  expect(answer?.status).toBe(status)
  const body = JSON.parse(answer?.body ?? '')
  expect(typeof expected === 'string' ? body.code : body).toEqual(expected)
  expect(answer?.type).toBe(`application/${status < 400 ? '' : 'problem+'}json; charset=utf-8`)
  expect(next).toMatchObject({ status: 200, body: '{"seq":2,"applied":true}' })
  expect(more).toEqual([])
})

test('a commit refused is told once, whoever read it, and a failure of ours is logged', async () => {
  for (const port of [bare, express]) {
    const invalid = await outcome(port, request({ body: '{' }))
    expect(invalid.calls.map(([name, what]) => (name === 'refuse' ? what : name))).toEqual([
      'invalid_json',
      'commit',
    ])
    const failed = await outcome(port, request({ body: '{"generation":1,"seq":500}' }))
    expect(failed.logged).toEqual([
      ['request failed', expect.objectContaining({ method: 'POST', error: expect.any(Error) })],
    ])
  }
})

test('a node that goes away half-way has sent no commit, not even one to refuse', async () => {
  for (const port of [bare, express]) {
    await abandon(port, request({ body: padded(10_000) }).subarray(0, 5_000))
    expect(answersIn(await exchange(port, last))).toMatchObject([{ status: 200 }])
  }
  await sleep(50)
  expect(calls.map(([name]) => name)).toEqual(['commit', 'commit'])
  expect(logged).toEqual([])
})

test('what a node sends does not pass through Express; what it would not send does', async () => {
  const taken: boolean[] = []
  const takes = createCommitHandler(api)
  const server = createServer((req, res) => {
    taken.push(takes(req, res))
    if (!taken.at(-1)) res.end()
  }).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await exchange(port, request({ body: commit }), request({ body: commit, chunked: true }), last)
  expect(taken).toEqual([true, false, true])
})
