/**
 * Credentials that have ended are kept before they are cleared. The archive holds them as they were sealed: creds in
 * its own context, keys as JSON [{type, id, value}] with each value's sealed bytes in base64, so that archiving needs
 * no secret and no plaintext.
 */
import type pg from 'pg'
import { v7 as uuid } from 'uuid'

/** Moves creds and Signal keys of the (locked) session into the archive. Without any of them, nothing is archived. */
export async function archiveCredentials(
  tx: pg.ClientBase,
  sessionId: string,
  reason: string,
): Promise<void> {
  await tx.query(
    `insert into credential_archive (id, session_id, tenant_id, reason, creds, keys)
     select $2, s.id, s.tenant_id, $3, s.creds, k.keys
     from session s,
       (select convert_to(jsonb_agg(jsonb_build_object(
          'type', type, 'id', id, 'value', translate(encode(value, 'base64'), E'\\n', '')))::text, 'UTF8') as keys
        from signal_key where session_id = $1) k
     where s.id = $1 and (s.creds is not null or k.keys is not null)`,
    [sessionId, uuid(), reason],
  )
  await tx.query('delete from signal_key where session_id = $1', [sessionId])
  await tx.query('update session set creds = null, me = null where id = $1', [sessionId])
}
