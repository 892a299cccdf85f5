/** JSON over bare `node:http`, as the orchestrator's client writes it; bodies of any other kind are for Express to judge. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { NodeError } from '../errors.ts'

/** a text of 64 Ki characters, its protobuf and a quoted one, in base64 */
export const MAX_BODY_BYTES = 2 * 1024 * 1024

/** whether the headers promise plain JSON of an allowed length; nothing is read for it */
export const isPlainJson = ({ headers }: IncomingMessage): boolean => {
  const length = Number(headers['content-length'])
  return (
    headers['content-type'] === 'application/json' &&
    headers['content-encoding'] === undefined &&
    length > 0 &&
    length <= MAX_BODY_BYTES
  )
}

/** The body, once it is there. A client that goes away half-way is owed no answer, so the promise then stays open. */
export const readJson = async (request: IncomingMessage): Promise<unknown> => {
  const bytes = await new Promise<Buffer>((resolve) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => resolve(Buffer.concat(chunks)))
  })
  const body = parse(bytes.toString('utf8'))
  // as `express.json` has it: a body is an object or an array
  if (typeof body !== 'object' || body === null) throw notJson()
  return body
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    throw notJson()
  }
}

export const notJson = () => new NodeError('invalid_request', 'The body is not valid JSON')

/** the whole answer, as `response.json` of Express writes it */
export const writeJson = (
  response: ServerResponse,
  status: number,
  value: unknown,
  type = 'application/json',
): void => {
  const body = JSON.stringify(value)
  response
    .writeHead(status, {
      'Content-Type': `${type}; charset=utf-8`,
      'Content-Length': Buffer.byteLength(body),
    })
    .end(body)
}
