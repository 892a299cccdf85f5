/**
 * JSON that Postgres takes. JavaScript strings may hold NUL and halves of surrogate pairs, and jsonb refuses both: a
 * stranger's message with one of them would otherwise be a commit that can never be stored.
 */
export function postgresJson(value: unknown): string {
  const text = JSON.stringify(value)
  return suspicious.test(text) ? JSON.stringify(value, (_key, member) => cleaned(member)) : text
}

/** The same of a text column. */
export function postgresText(text: string): string {
  return text.replaceAll('\0', REPLACEMENT).replace(/\p{Surrogate}/gu, REPLACEMENT)
}

const REPLACEMENT = '\ufffd'
/** what JSON.stringify writes for NUL and for lone surrogates (and, harmlessly, for texts about them) */
const suspicious = /\\u0000|\\ud[89a-f]/

function cleaned(member: unknown): unknown {
  if (typeof member === 'string') return postgresText(member)
  if (typeof member !== 'object' || member === null || Array.isArray(member)) return member
  return Object.fromEntries(Object.entries(member).map(([key, inner]) => [postgresText(key), inner]))
}
