import { z } from 'zod'

const chance = z.number().min(0).max(1)
const ms = z.number().min(0).max(600_000)
const coded = z.object({ code: z.number().int(), rate: chance }).nullable()

/**
 * What goes wrong between the server and its linked clients. Rates are chances from 0 to 1, asked for each message,
 * receipt, notification and ack on its way to a client; log-ins are left alone, so that a client can always come back.
 */
export const faultPlan = z
  .object({
    /** added to everything that a client is sent, order kept */
    latency_ms: ms.default(0),
    /** up to this much more, order kept */
    jitter_ms: ms.default(0),
    /** stanzas that never leave; they stay unconfirmed, so the next login brings them */
    drop: chance.default(0),
    /** stanzas that are sent twice */
    repeat: chance.default(0),
    /** every receipt comes this much later, and other stanzas overtake it */
    receipt_delay_ms: ms.default(0),
    /** receipts that come up to 200 ms late, so that they overtake each other */
    receipt_reorder: chance.default(0),
    /** messages that are routed, but never acknowledged */
    missing_ack: chance.default(0),
    /** messages that are not routed, and acknowledged with an error: 463, 479… */
    ack_error: coded.default(null),
    /** connections on which nothing passes any more, with no sign of it */
    half_open: chance.default(0),
    tcp_reset: chance.default(0),
    /** connections that end inside a frame */
    mid_frame: chance.default(0),
    /** connections that the server ends with a code */
    stream_error: coded.default(null),
    /** digits of the phones whose devices suffer; everybody's when empty */
    only: z.array(z.string()).default([]),
  })
  .strict()

export type FaultPlan = z.infer<typeof faultPlan>
export type FaultSettings = z.input<typeof faultPlan>
