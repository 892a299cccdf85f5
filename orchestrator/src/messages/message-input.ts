/** What a caller may ask to be sent. */
import { textContent } from '@palomar/session-node/contract'
import { z } from 'zod'

export const messageInput = z
  .strictObject({
    account_id: z.uuid().meta({ description: 'which of your accounts sends it' }),
    to: z.string().max(200).meta({
      description: 'phone number with country code, or …@s.whatsapp.net, @c.us, @lid, @g.us, @newsletter',
      example: '+49 170 1234567',
    }),
    type: z.literal('text'),
    text: z.strictObject(textContent.shape.text.shape),
    context: z
      .strictObject({ message_id: z.string().min(1).max(128) })
      .optional()
      .meta({ description: 'the message that this one answers: its id, or its wa_id' }),
    metadata: z
      .record(z.string().max(100), z.unknown())
      .refine((value) => JSON.stringify(value).length <= 8_192, 'at most 8 kB as JSON')
      .optional()
      .meta({ description: 'yours; comes back with the message and its events' }),
    send_at: z.iso
      .datetime({ offset: true })
      .refine((value) => Date.parse(value) <= Date.now() + 366 * 86_400_000, 'at most a year ahead')
      .optional()
      .meta({ description: 'not to be sent before' }),
    priority: z
      .int()
      .min(-100)
      .max(100)
      .default(0)
      .meta({ description: 'among the messages of the account that wait, the greater goes first' }),
  })
  .meta({ id: 'MessageInput' })
export type MessageInput = z.output<typeof messageInput>

export const MAX_BULK = 1_000
/** items are checked one by one, so that a bad one does not hold up the others */
export const bulkInput = z.strictObject({ messages: z.array(z.unknown()).min(1).max(MAX_BULK) })
