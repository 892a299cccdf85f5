/** POST /internal/sessions/{id}/attach: a node takes the session over. Older generations are fenced from then on. */
import { z } from 'zod'
import { address, base64, ciphertextHash, waMessageId } from './primitives.ts'

export const attachRequest = z.object({ node_id: z.string(), version: z.string() })
export type AttachRequest = z.infer<typeof attachRequest>

/** The stanza of an encrypted part: its attributes and the enc's type, enough to replay it through Baileys */
export const inboxEntry = z.object({
  hash: ciphertextHash,
  /** padded plaintext, as decryption gave it */
  plaintext: base64,
  stanza: z.object({ attrs: z.record(z.string(), z.string()), enc_type: z.string() }),
})
export type InboxEntry = z.infer<typeof inboxEntry>

export const attachResult = z.object({
  generation: z.number().int().positive(),
  /** opaque, Baileys' creds as JSON with its own Buffer encoding; null: not paired */
  creds: z.string().nullable(),
  me: address.extend({ name: z.string().optional() }).nullable(),
  /** decrypted but not yet an event: to be handed over again */
  unsettled: z.array(inboxEntry),
  /** hashes decrypted within the last day: a redelivery of one is answered from the inbox (`/keys` type `x-inbox`), newest first, bounded */
  seen: z.array(ciphertextHash),
  /** WhatsApp ids of ours that the server acknowledged lately: a repeat is answered without sending */
  acked: z.array(waMessageId),
  settings: z.object({
    /** appear online, so that phones show delivered ticks at once; false leaves the phone's notifications alone */
    mark_online: z.boolean(),
    /** WhatsApp Web revision to claim, when the built-in one is outdated (405) */
    wa_version: z.tuple([z.number(), z.number(), z.number()]).optional(),
    /** held commits past which the node leaves WhatsApp, so that it queues for us */
    max_pending_bytes: z.number().int(),
  }),
})
export type AttachResult = z.infer<typeof attachResult>

/**
 * POST /internal/sessions/{id}/keys: Signal keys on demand. Only found ids come back. Of the type `x-inbox` the ids are
 * ciphertext hashes and the values padded plaintexts in base64.
 */
export const keysRequest = z.object({
  generation: z.number().int().positive(),
  type: z.string().min(1).max(64),
  ids: z.array(z.string().min(1).max(256)).max(2_000),
})
export const keysResult = z.object({ values: z.record(z.string(), z.string()) })

/** GET /internal/sessions/{id}/messages/{wa_id}: the stored proto.Message, so that a peer's retry can be answered */
export const storedMessage = z.object({ raw: base64.nullable() })
