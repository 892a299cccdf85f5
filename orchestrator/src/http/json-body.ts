/** JSON over bare `node:http`, as our own nodes write it; bodies of any other kind are for Express to judge. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { PalomarError } from '../errors.ts'

/** Whether the headers promise plain JSON of an allowed length; nothing is read for it. */
export function isPlainJson({ headers }: IncomingMessage, maxBytes: number): boolean {
  const length = Number(headers['content-length'])
  return (
    headers['content-type'] === 'application/json' &&
    headers['content-encoding'] === undefined &&
    length > 0 &&
    length <= maxBytes
  )
}

/** The body, once it is there. A client that goes away half-way is owed no answer, so the promise then stays open. */
export async function readJson(req: IncomingMessage): Promise<unknown> {
  const bytes = await new Promise<Buffer>((resolve) => {
    const chunks: Buffer[] = []
    req.on('data', (chunk: Buffer) => chunks.push(chunk))
    req.on('end', () => resolve(Buffer.concat(chunks)))
  })
  const body = parse(bytes)
  // As `express.json` has it: a body is an object or an array.
  if (typeof body !== 'object' || body === null) throw new PalomarError('invalid_json')
  return body
}

/** Leaves a byte order mark out, as `express.json` does. */
const utf8 = new TextDecoder()

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(utf8.decode(bytes))
  } catch {
    throw new PalomarError('invalid_json')
  }
}

/** The whole answer, as `res.json` of Express writes it. */
export function writeJson(
  res: ServerResponse,
  status: number,
  value: unknown,
  type = 'application/json',
): void {
  const body = JSON.stringify(value)
  res
    .writeHead(status, {
      'Content-Type': `${type}; charset=utf-8`,
      'Content-Length': Buffer.byteLength(body),
    })
    .end(body)
}
