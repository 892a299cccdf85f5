/** What accounts and sessions look like from outside; messages' schemas are beside their queries. */
import { z } from 'zod'
import { sessionStates } from '../../sessions/state-table.ts'

export const idParams = z.object({ id: z.uuid('must be an id that we gave out') })

export const cursorQuery = z.strictObject({
  cursor: z.string().max(500).optional().meta({ description: 'next_cursor of the page before' }),
  limit: z.coerce.number().int().min(1).max(200).default(50),
})

export const sessionSchema = z
  .object({
    id: z.uuid(),
    account_id: z.uuid(),
    desired: z.enum(['running', 'stopped']),
    state: z.enum(sessionStates),
    code: z
      .number()
      .int()
      .nullable()
      .meta({ description: "WhatsApp's disconnect code, where there was one" }),
    reason: z.string().nullable(),
    since: z.iso.datetime(),
    connected_at: z.iso.datetime().nullable(),
    me: z
      .object({
        jid: z.string(),
        pn: z.string().optional(),
        lid: z.string().optional(),
        name: z.string().optional(),
      })
      .nullable(),
    sending_paused: z
      .object({ until: z.iso.datetime(), reason: z.string() })
      .nullish()
      .meta({ description: 'why nothing is sent now: not connected, or sends keep failing; of GET only' }),
    node: z
      .object({
        id: z.uuid(),
        driver: z.string(),
        status: z.string(),
        health: z.string(),
        address: z.string().nullable(),
        port: z.number().int().nullable(),
        restarts: z.number().int(),
        started_at: z.iso.datetime(),
        last_seen_at: z.iso.datetime().nullable(),
        exit_code: z.number().int().nullable(),
        exit_reason: z.string().nullable(),
      })
      .nullable(),
  })
  .meta({ id: 'Session' })

export const accountSchema = z
  .object({
    id: z.uuid(),
    name: z.string(),
    channel: z.string(),
    phone: z.string().nullable().meta({ description: 'digits; known once paired' }),
    lid: z.string().nullable(),
    push_name: z.string().nullable(),
    metadata: z.record(z.string(), z.unknown()),
    state: z.enum(sessionStates),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .meta({ id: 'Account' })

const name = z.string().trim().min(1).max(200)
const metadata = z
  .record(z.string().max(100), z.unknown())
  .refine((value) => JSON.stringify(value).length <= 8_192, 'at most 8 kB as JSON')

export const createAccountBody = z
  .strictObject({ name, metadata: metadata.default({}), start: z.boolean().default(true) })
  .meta({ description: 'start: false makes the account without starting its session' })
export const updateAccountBody = z.strictObject({ name: name.optional(), metadata: metadata.optional() })

export const page = <T extends z.ZodType>(item: T) =>
  z.object({ data: z.array(item), next_cursor: z.string().nullable() })

export const qrSchema = z
  .object({ qr: z.string(), expires_at: z.iso.datetime(), data_url: z.string() })
  .meta({ id: 'Qr', description: 'qr is the text to draw; data_url a PNG of it' })

export const pairingCodeBody = z.strictObject({
  phone: z
    .string()
    .transform((value) => value.replace(/[\s+().-]/g, ''))
    .pipe(z.string().regex(/^\d{7,15}$/, 'a phone number with country code')),
})
export const pairingCodeSchema = z
  .object({ code: z.string(), expires_at: z.iso.datetime() })
  .meta({ id: 'PairingCode' })
