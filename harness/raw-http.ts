/** HTTP as bytes on a socket: what no client would send, and answers as they are on the wire. */
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'

export interface RawRequest {
  method?: string
  path: string
  headers?: Record<string, string>
  body?: string | Uint8Array
  /** in chunks of any size instead of with a length */
  chunked?: boolean
}

const CHUNK_BYTES = 16 * 1024

export function rawRequest({ method = 'POST', path, headers = {}, body, chunked }: RawRequest): Buffer {
  const bytes = body === undefined ? undefined : Buffer.from(body)
  const framing = chunked ? { 'transfer-encoding': 'chunked' } : bytes && { 'content-length': bytes.length }
  const lines = Object.entries({ host: 'test', ...framing, ...headers }).map(
    ([name, value]) => `${name}: ${value}`,
  )
  const head = Buffer.from(`${[`${method} ${path} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n`)
  if (!chunked) return Buffer.concat([head, bytes ?? Buffer.alloc(0)])
  const parts = [head]
  for (let at = 0; bytes && at < bytes.length; at += CHUNK_BYTES) {
    const chunk = bytes.subarray(at, at + CHUNK_BYTES)
    parts.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n'))
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')])
}

export interface RawAnswer {
  status: number
  type: string | undefined
  body: string
}

/** All that comes back on one connection for these bytes, until the server ends it; the time of day left out. */
export async function exchange(port: number, ...requests: Buffer[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(Buffer.concat(requests))
  return (await text(socket)).replace(/^Date: .*\r\n/gm, '')
}

/** Sends the bytes and goes away without waiting for an answer. */
export async function abandon(port: number, bytes: Buffer): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  await new Promise((resolve) => socket.write(bytes, resolve))
  socket.destroy()
}

/** Answers that each have a length, as ours do. */
export function answersIn(wire: string): RawAnswer[] {
  const answers: RawAnswer[] = []
  let rest = Buffer.from(wire)
  while (rest.length > 0) {
    const at = rest.indexOf('\r\n\r\n')
    const head = rest.toString('latin1', 0, at)
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'im').exec(head)?.[1]?.trim()
    const end = at + 4 + Number(field('content-length') ?? 0)
    answers.push({
      status: Number(head.split(' ')[1]),
      type: field('content-type'),
      body: rest.toString('utf8', at + 4, end),
    })
    rest = rest.subarray(end)
  }
  return answers
}
