import { z } from 'zod'
import { waMessageId } from './primitives.ts'

/**
 * What a message says, shaped as in Meta's Cloud API. Kinds that Palomar does not yet spell out arrive as
 * `unsupported` with the protocol's own name of the kind and its caption; nothing is dropped, since the message's
 * protobuf is stored beside it. `undecryptable` stands until the sender's retry replaces it.
 */
export const textContent = z.object({
  type: z.literal('text'),
  text: z.object({ body: z.string().min(1).max(65_536) }),
})

export const content = z.discriminatedUnion('type', [
  textContent,
  z.object({
    type: z.literal('unsupported'),
    unsupported: z.object({ kind: z.string(), caption: z.string().optional() }),
  }),
  z.object({ type: z.literal('undecryptable'), undecryptable: z.object({ reason: z.string() }) }),
])
export type Content = z.infer<typeof content>

/** the message that this one answers */
export const replyContext = z.object({ message_id: waMessageId, from: z.string().optional() })
export type ReplyContext = z.infer<typeof replyContext>
