/** The Idempotency-Key of a request, with a hash of what it asks, so that another request cannot pass for it. */
import { createHash } from 'node:crypto'
import type { Request } from 'express'
import { PalomarError } from '../errors.ts'
import type { IdempotencyKey } from '../messages/idempotency.ts'

const wellFormed = /^[\x21-\x7e]{1,255}$/

/** Undefined when the request has none. Throws `invalid_request` for one that is empty, too long or not printable. */
export function idempotencyOf(req: Request): IdempotencyKey | undefined {
  const key = req.get('idempotency-key')
  if (key === undefined) return undefined
  if (!wellFormed.test(key)) {
    const message = '1 to 255 printable ASCII characters'
    throw new PalomarError('invalid_request', `Idempotency-Key: ${message}`, {
      fields: [{ field: 'header.Idempotency-Key', message }],
    })
  }
  const asked = JSON.stringify([req.method, req.path, req.query, req.body])
  return { key, requestHash: createHash('sha256').update(asked).digest() }
}
