import { randomBytes } from 'node:crypto'

/** An id for a stanza of the server's own. */
export const newId = (): string => randomBytes(8).toString('hex').toUpperCase()
