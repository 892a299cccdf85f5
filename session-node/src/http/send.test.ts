/** The bare way of sends against Express' own route: whatever is sent, the bytes that come back are the same. */
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { abandon, answersIn, exchange, type RawRequest, rawRequest } from '../../../harness/raw-http.ts'
import type { SendCommand } from '../../contract/index.ts'
import { NodeError } from '../errors.ts'
import { createLogger } from '../logger.ts'
import type { Session } from '../session.ts'
import { type AppOptions, createApp } from './app.ts'
import { MAX_BODY_BYTES } from './json-body.ts'
import { createListener } from './listener.ts'
import { createSendHandler } from './send.ts'

const to = { jid: '34600000002@s.whatsapp.net', pn: '34600000002' }
const message = (id: string) => JSON.stringify({ id, to, content: { type: 'text', text: { body: 'hello' } } })
const padded = (bytes: number) => message('3EB0AA').padEnd(bytes)
const sent = (id: string) => ({ id, acked_at: 1, recipient: to, repeated: false })

let sends: string[] = []
let logged: string[] = []
const session = {
  sender: {
    async send({ id }: SendCommand) {
      sends.push(id)
      if (id === '3EB0409A') throw new NodeError('rejected', 'no', { waCode: 463 })
      if (id === '3EB0500A') throw new Error('a bug')
      return sent(id)
    },
  },
} as unknown as Session
let known: Session | undefined = session

const options: AppOptions = {
  sessionId: 's',
  nodeId: 'n',
  token: 'secret',
  session: () => known,
  whenAttached: Promise.resolve(session),
  logger: createLogger('error', {}, (line) => {
    const { time: _time, ...rest } = JSON.parse(line)
    logged.push(JSON.stringify(rest))
  }),
}

const servers: Server[] = []
const portOf = async (listener: RequestListener): Promise<number> => {
  const server = createServer(listener).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
let bare: number
let express: number
beforeAll(async () => {
  bare = await portOf(createListener(options))
  express = await portOf(createApp(options))
})
afterAll(() => {
  for (const server of servers) server.close()
})
beforeEach(() => {
  sends = []
  logged = []
  known = session
})

const request = ({ headers, ...rest }: Partial<RawRequest>) =>
  rawRequest({
    path: '/messages',
    ...rest,
    headers: { authorization: 'Bearer secret', 'content-type': 'application/json', ...headers },
  })
const last = request({ body: message('3EB0BB'), headers: { connection: 'close' } })

const outcome = async (port: number, bytes: Buffer) => {
  sends = []
  logged = []
  const wire = await exchange(port, bytes, last)
  return { wire, sends, logged: logged.map((line) => line.replace(/\\n +at .*?(?=")/, '')) }
}

const body = message('3EB0AA')
const ok = sent('3EB0AA')

test.each<[string, Partial<RawRequest>, number, unknown]>([
  ['a message', { body }, 200, ok],
  ['of the greatest length', { body: padded(MAX_BODY_BYTES) }, 200, ok],
  ['one byte longer', { body: padded(MAX_BODY_BYTES + 1) }, 413, 'too_large'],
  ['longer, in chunks', { body: padded(MAX_BODY_BYTES + 1), chunked: true }, 413, 'too_large'],
  ['in chunks', { body, chunked: true }, 200, ok],
  ['gzipped', { body: gzipSync(body), headers: { 'content-encoding': 'gzip' } }, 200, ok],
  ['gzip that is none', { body, headers: { 'content-encoding': 'gzip' } }, 500, 'internal'],
  ['of an unknown encoding', { body, headers: { 'content-encoding': 'zip' } }, 400, 'invalid_request'],
  ['with a charset', { body, headers: { 'content-type': 'application/json; charset=UTF-8' } }, 200, ok],
  [
    'of another charset',
    { body, headers: { 'content-type': 'application/json; charset=latin1' } },
    400,
    'invalid_request',
  ],
  ['of another type', { body, headers: { 'content-type': 'text/plain' } }, 400, 'invalid_request'],
  ['with bytes that are not UTF-8', { body: Buffer.from(body.replace('hello', '\xff'), 'latin1') }, 200, ok],
  ['no body', {}, 400, 'invalid_request'],
  ['an empty body', { body: '' }, 400, 'invalid_request'],
  ['white space', { body: ' \n' }, 400, 'invalid_request'],
  ['half a body', { body: '{"id":' }, 400, 'invalid_request'],
  ['a text', { body: '"message"' }, 400, 'invalid_request'],
  ['null', { body: 'null' }, 400, 'invalid_request'],
  ['an array', { body: '[]' }, 400, 'invalid_request'],
  ['outside the contract', { body: '{"id":"3EB0AA"}' }, 400, 'invalid_request'],
  ['what WhatsApp refuses', { body: message('3EB0409A') }, 422, 'rejected'],
  ['what fails', { body: message('3EB0500A') }, 500, 'internal'],
  ['a wrong token', { body, headers: { authorization: 'Bearer other' } }, 401, 'unauthorized'],
  [
    'a wrong token and a body too long',
    { body: padded(MAX_BODY_BYTES + 1), headers: { authorization: 'Bearer other' } },
    401,
    'unauthorized',
  ],
  ['no token', { body, headers: { authorization: '' } }, 401, 'unauthorized'],
  ['PUT', { method: 'PUT', body }, 404, 'not_found'],
  ['GET', { method: 'GET' }, 404, 'not_found'],
  ['a query', { path: '/messages?a=1', body }, 200, ok],
  ['a slash at the end', { path: '/messages/', body }, 200, ok],
  ['capitals', { path: '/Messages', body }, 200, ok],
  ['another path', { path: '/message', body }, 404, 'not_found'],
])('%s: answered as by Express, and the connection stays good', async (_name, raw, status, expected) => {
  const ours = await outcome(bare, request(raw))
  expect(ours).toEqual(await outcome(express, request(raw)))
  const [answer, next, ...more] = answersIn(ours.wire)
  expect(answer?.status).toBe(status)
  const result = JSON.parse(answer?.body ?? '')
  expect(typeof expected === 'string' ? result.code : result).toEqual(expected)
  expect(answer?.type).toBe(`application/${status < 400 ? '' : 'problem+'}json; charset=utf-8`)
  expect(next).toMatchObject({ status: 200, body: JSON.stringify(sent('3EB0BB')) })
  expect(more).toEqual([])
})

test('a node that has not attached sends nothing, but says first what is wrong with the command', async () => {
  known = undefined
  for (const port of [bare, express]) {
    const codes = answersIn(await exchange(port, request({ body: '{}' }), request({ body }), last))
    expect(codes.map((answer) => JSON.parse(answer.body).code)).toEqual([
      'invalid_request',
      'not_connected',
      'not_connected',
    ])
  }
  expect(sends).toEqual([])
})

test('a failure of ours is logged once, by its path', async () => {
  for (const port of [bare, express]) {
    const { logged: lines } = await outcome(port, request({ body: message('3EB0500A') }))
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { level: 'error', message: 'a request failed', path: '/messages', error: 'Error: a bug' },
    ])
  }
})

test('a client that goes away half-way sends nothing and fails nothing', async () => {
  for (const port of [bare, express]) {
    await abandon(port, request({ body: padded(10_000) }).subarray(0, 5_000))
    expect(answersIn(await exchange(port, last))).toMatchObject([{ status: 200 }])
  }
  await sleep(50)
  expect(sends).toEqual(['3EB0BB', '3EB0BB'])
  expect(logged).toEqual([])
})

test('what the orchestrator sends does not pass through Express; what it would not send does', async () => {
  const taken: boolean[] = []
  const takes = createSendHandler(options)
  const port = await portOf((incoming, response) => {
    taken.push(takes(incoming, response))
    if (!taken.at(-1)) response.end()
  })
  await exchange(port, request({ body }), request({ body, chunked: true }), last)
  expect(taken).toEqual([true, false, true])
})
