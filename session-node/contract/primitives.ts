import { z } from 'zod'

/** bytes in base64 */
export const base64 = z.base64()

/** WhatsApp's message id: chosen by the sender; ours are 3EB0 and 18 hex digits */
export const waMessageId = z.string().min(1).max(128)

/** seconds since 1970, as WhatsApp stamps stanzas */
export const waTimestamp = z.number().int().nonnegative()

/**
 * A person, group or channel as the protocol names it. `jid` is bare (no device part). Of a person, `pn` and `lid`
 * are the digits of the phone number and of the LID, each present when known.
 */
export const address = z.object({
  jid: z.string().min(3).max(128),
  pn: z
    .string()
    .regex(/^\d{5,20}$/)
    .optional(),
  lid: z
    .string()
    .regex(/^\d{5,24}$/)
    .optional(),
})
export type Address = z.infer<typeof address>

/** sha256 of a ciphertext, hex */
export const ciphertextHash = z.string().regex(/^[0-9a-f]{64}$/)
