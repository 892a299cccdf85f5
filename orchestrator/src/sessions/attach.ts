/** A node takes a session over: it gets all that it needs to go on, and every older node is fenced from then on. */
import type { AttachRequest, AttachResult } from '@palomar/session-node/contract'
import type { Database } from '../db/database.ts'
import { PalomarError } from '../errors.ts'
import type { InboxStore } from './inbox-store.ts'
import type { KeyStore } from './key-store.ts'
import type { SessionChanges } from './session-changes.ts'
import { lockSession } from './session-row.ts'

/** our own messages of the last day that WhatsApp acknowledged; a repeat of an older one is not to be expected */
const maxAcked = 1_000

export interface AttachOptions {
  database: Database
  keys: KeyStore
  inbox: InboxStore
  changes: SessionChanges
  settings: AttachResult['settings']
}

/**
 * Returns the function behind POST /internal/sessions/{id}/attach. In one transaction the generation grows, the commit
 * sequence starts again, and the node is marked as attached. Throws `not_found` for an unknown session, and `fenced`
 * for a node that is not the session's current one or of a session that is to be stopped.
 */
export function createAttach({ database, keys, inbox, changes, settings }: AttachOptions) {
  return async function attach(sessionId: string, request: AttachRequest): Promise<AttachResult> {
    const result = await database.transaction(async (tx): Promise<AttachResult> => {
      const session = await lockSession(tx, sessionId)
      if (!session) throw new PalomarError('not_found', 'no such session')
      const current = await tx.query(
        `update node set status = 'running', generation = $3,
           attached_at = now(), last_seen_at = now(), health = 'healthy', failed_probes = 0
         where id::text = $2 and status in ('starting', 'running') and id = (
           select id from node where session_id = $1 and status in ('starting', 'running', 'stopping')
           order by started_at desc, id desc limit 1)`,
        [sessionId, request.node_id, session.generation + 1],
      )
      if (current.rowCount === 0 || session.desired === 'stopped')
        throw new PalomarError('fenced', 'this node is not the session’s current one')
      const { rows } = await tx.query<{ generation: number; creds: Buffer | null; me: AttachResult['me'] }>(
        `update session set generation = generation + 1, last_seq = 0 where id = $1
         returning generation, creds, me`,
        [sessionId],
      )
      const [row] = rows
      if (!row) throw new Error('the locked session is gone')
      const acked = await tx.query<{ wa_id: string }>(
        `select wa_id from message
         where account_id = $1 and direction = 'outbound' and origin = 'api' and sent_at > now() - interval '1 day'
         order by sent_at desc limit ${maxAcked}`,
        [session.accountId],
      )
      return {
        generation: row.generation,
        creds: row.creds && keys.openCreds(sessionId, row.creds),
        me: row.me,
        unsettled: await inbox.readUnsettled(tx, sessionId),
        seen: await inbox.readSeen(tx, sessionId),
        acked: acked.rows.map((message) => message.wa_id),
        settings,
      }
    })
    changes.changed(sessionId)
    return result
  }
}
