/**
 * POST /internal/sessions/{id}/commits: one commit is one Postgres transaction.
 *
 * 410 fenced: a newer generation has attached, the node ends itself. A `seq` at or below the last applied one is
 * answered 200 and not applied again; one past the next is 409 sequence_gap. `seq` counts from 1 in each generation. Keys, inbox and events land together or
 * not at all, in the order: creds, keys, inbox, events.
 */
import { z } from 'zod'
import { inboxEntry } from './attach.ts'
import { nodeEvent } from './events.ts'

/** a commit's body may not be larger than this many bytes */
export const MAX_COMMIT_BYTES = 8 * 1024 * 1024

export const keyMutation = z.object({
  type: z.string().min(1).max(64),
  id: z.string().min(1).max(256),
  /** opaque to the orchestrator; null deletes */
  value: z.string().nullable(),
})
export type KeyMutation = z.infer<typeof keyMutation>

export const commitRequest = z.object({
  generation: z.number().int().positive(),
  seq: z.number().int().positive(),
  creds: z.string().optional(),
  keys: z.array(keyMutation).max(5_000).default([]),
  inbox: z.array(inboxEntry).max(5_000).default([]),
  events: z.array(nodeEvent).max(5_000).default([]),
})
export type CommitRequest = z.infer<typeof commitRequest>
export type CommitRequestInput = z.input<typeof commitRequest>

export const commitResult = z.object({ seq: z.number().int().nonnegative(), applied: z.boolean() })
export type CommitResult = z.infer<typeof commitResult>
