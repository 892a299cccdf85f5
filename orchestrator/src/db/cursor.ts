/** Opaque cursors of pages: where the page ended, so that what comes meanwhile shifts nothing. */
import { z } from 'zod'
import { PalomarError } from '../errors.ts'

const place = z.tuple([z.iso.datetime(), z.uuid()])

export interface Place {
  at: Date
  id: string
}

export function encodeCursor({ at, id }: Place): string {
  return Buffer.from(JSON.stringify([at.toISOString(), id])).toString('base64url')
}

/** Throws `invalid_cursor` for what `encodeCursor` did not make. */
export function decodeCursor(cursor: string): Place {
  const parsed = place.safeParse(json(Buffer.from(cursor, 'base64url').toString()))
  if (!parsed.success) throw new PalomarError('invalid_cursor')
  const [at, id] = parsed.data
  return { at: new Date(at), id }
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
