/** An account as callers see it. */
import type { AccountGetPayload } from '../db/generated/models.ts'
import type { SessionState } from '../sessions/state-table.ts'

export interface AccountView {
  id: string
  name: string
  /** baileys: a linked device */
  channel: string
  /** digits; known once paired */
  phone: string | null
  lid: string | null
  push_name: string | null
  metadata: Record<string, unknown>
  /** of its session */
  state: SessionState
  /** ISO 8601 */
  created_at: string
  updated_at: string
}

/** what a view is made of */
export const withState = { session: { select: { state: true } } } as const

export function viewAccount(row: AccountGetPayload<{ include: typeof withState }>): AccountView {
  return {
    id: row.id,
    name: row.name,
    channel: row.channel,
    phone: row.phone,
    lid: row.lid,
    push_name: row.pushName,
    metadata: row.metadata as Record<string, unknown>,
    state: (row.session?.state ?? 'created') as SessionState,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  }
}
