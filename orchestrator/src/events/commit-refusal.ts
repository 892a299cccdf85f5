/** Commits that can never be applied, whatever is tried again: what they say is wrong, not when they came. */
import { PalomarError } from '../errors.ts'

/**
 * The coded error when it is the body's fault, else undefined. Postgres' own words are left out of it: they may quote
 * what a message says.
 */
export function bodyFault(error: unknown): PalomarError | undefined {
  if (error instanceof PalomarError) return error.code === 'invalid_request' ? error : undefined
  const sqlState = error instanceof Error && 'code' in error ? String(error.code) : ''
  // data exceptions, integrity violations, limits exceeded
  if (!/^(22|23|54)[0-9A-Z]{3}$/.test(sqlState)) return undefined
  return new PalomarError('invalid_request', `the commit cannot be stored (${sqlState})`, { cause: error })
}
