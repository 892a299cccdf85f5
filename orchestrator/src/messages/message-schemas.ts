/** A message and a conversation as callers see them: in answers, in pages and in events. */
import { textContent } from '@palomar/session-node/contract'
import { z } from 'zod'

const time = z.iso.datetime()

export const messageStatus = z.enum([
  'received',
  'pending',
  'sent',
  'delivered',
  'read',
  'played',
  'failed',
  'cancelled',
])

export const messageError = z.object({
  code: z.string().meta({ description: 'stable, e.g. reachout_timelock' }),
  title: z.string(),
  wa_code: z.number().int().optional().meta({ description: "WhatsApp's own code" }),
  permanent: z.boolean().meta({ description: 'false: the same message may get through later' }),
  outcome_unknown: z
    .boolean()
    .optional()
    .meta({ description: 'a try had no answer: it may have been sent, and a receipt would clear the error' }),
})

export const messageSchema = z
  .object({
    id: z.uuid(),
    wa_id: z.string().meta({ description: "WhatsApp's id of the message" }),
    account_id: z.uuid(),
    conversation_id: z.uuid(),
    direction: z.enum(['inbound', 'outbound']),
    origin: z.enum(['api', 'live', 'offline', 'phone', 'history']).meta({
      description:
        'api: accepted by us; live and offline: received; phone: sent on another device; history: synced',
    }),
    from: z.string().nullable().meta({ description: 'phone number, else JID; null while it is not known' }),
    from_name: z.string().nullable().meta({ description: 'the name that the sender shows' }),
    to: z.string().nullable().meta({ description: 'phone number or JID of the person, group or channel' }),
    type: z.string(),
    text: textContent.shape.text.optional(),
    unsupported: z.object({ kind: z.string(), caption: z.string().optional() }).optional(),
    undecryptable: z.object({ reason: z.string() }).optional(),
    context: z.object({ message_id: z.string(), from: z.string().optional() }).nullable(),
    metadata: z.record(z.string(), z.unknown()).nullable(),
    status: messageStatus,
    error: messageError.nullable(),
    correlation_id: z.uuid().nullable(),
    timestamp: time.meta({
      description: "WhatsApp's time of it; of an unsent message, when it was accepted",
    }),
    created_at: time,
    send_at: time.nullable(),
    sent_at: time.nullable(),
    delivered_at: time.nullable(),
    read_at: time.nullable(),
    played_at: time.nullable(),
    failed_at: time.nullable(),
  })
  .meta({ id: 'Message' })
export type Message = z.infer<typeof messageSchema>

export const conversationSchema = z
  .object({
    id: z.uuid(),
    account_id: z.uuid(),
    kind: z.enum(['person', 'group', 'newsletter', 'status', 'broadcast']),
    jid: z.string(),
    phone: z.string().nullable(),
    lid: z.string().nullable(),
    name: z.string().nullable(),
    last_message_at: time.nullable(),
    created_at: time,
  })
  .meta({ id: 'Conversation' })
export type ConversationView = z.infer<typeof conversationSchema>

const page = <T extends z.ZodType>(item: T) =>
  z.object({
    data: z.array(item),
    next_cursor: z.string().nullable().meta({ description: 'null: this was the last page' }),
  })
export const messagePage = page(messageSchema)
export const conversationPage = page(conversationSchema)
export type MessagePage = z.infer<typeof messagePage>
export type ConversationPage = z.infer<typeof conversationPage>
