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

/** What comes before every place, going down: with it a first page is a page like any other. */
const TOP: [at: string, id: string] = ['infinity', 'ffffffff-ffff-ffff-ffff-ffffffffffff']

/** The place to go on below, as values of a statement. Throws `invalid_cursor`. */
export function below(cursor: string | undefined): [at: Date | string, id: string] {
  if (cursor === undefined) return TOP
  const { at, id } = decodeCursor(cursor)
  return [at, id]
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
