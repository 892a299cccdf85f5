/** Credentials and Signal keys of a session, sealed at rest. A value is bound to its place, so rows cannot be swapped. */
import type { KeyMutation } from '@palomar/session-node/contract'
import type pg from 'pg'
import { prepared, type Queryable, together } from '../db/database.ts'
import { PalomarError } from '../errors.ts'
import type { Secrets } from '../secrets.ts'
import { inboxKeyType, readInboxKeys } from './inbox-store.ts'

export type KeyStore = ReturnType<typeof createKeyStore>

/** columns of the rows to write, and of those to delete */
export interface SealedKeys {
  put: { types: string[]; ids: string[]; values: Buffer[] }
  gone: { types: string[]; ids: string[] }
}

const credsContext = (sessionId: string) => `creds:${sessionId}`
const keyContext = (sessionId: string, type: string, id: string) => `key:${sessionId}:${type}:${id}`

const writeCreds = prepared('creds_write', 'update session set creds = $2 where id = $1')
const upsert = prepared(
  'keys_upsert',
  `insert into signal_key (session_id, type, id, value)
   select $1, * from unnest($2::text[], $3::text[], $4::bytea[])
   on conflict (session_id, type, id) do update set value = excluded.value`,
)
const remove = prepared(
  'keys_delete',
  `delete from signal_key k using unnest($2::text[], $3::text[]) as gone(type, id)
   where k.session_id = $1 and k.type = any($2) and k.id = any($3) and k.type = gone.type and k.id = gone.id`,
)
const read = prepared<{ id: string; value: Buffer }>(
  'keys_read',
  'select id, value from signal_key where session_id = $1 and type = $2 and id = any($3)',
)

export function createKeyStore(secrets: Secrets) {
  /** Of two mutations of one key the later wins. Throws `invalid_request` for what is no key. */
  function seal(sessionId: string, mutations: readonly KeyMutation[]): SealedKeys {
    if (mutations.some((mutation) => mutation.type === inboxKeyType))
      throw new PalomarError('invalid_request', `${inboxKeyType} entries travel as inbox, not as keys`)
    const sealed: SealedKeys = { put: { types: [], ids: [], values: [] }, gone: { types: [], ids: [] } }
    const last = new Map(mutations.map((mutation) => [`${mutation.type}\0${mutation.id}`, mutation]))
    for (const { type, id, value } of last.values()) {
      const { types, ids } = value === null ? sealed.gone : sealed.put
      types.push(type)
      ids.push(id)
      if (value !== null) sealed.put.values.push(secrets.encrypt(value, keyContext(sessionId, type, id)))
    }
    return sealed
  }

  return {
    async writeCreds(tx: pg.ClientBase, sessionId: string, creds: string): Promise<void> {
      await writeCreds(tx, [sessionId, secrets.encrypt(creds, credsContext(sessionId))])
    },

    openCreds(sessionId: string, sealed: Uint8Array): string {
      return secrets.decrypt(sealed, credsContext(sessionId)).toString()
    },

    seal,

    /** In two statements at most. */
    async writeKeys(tx: pg.ClientBase, sessionId: string, mutations: readonly KeyMutation[]): Promise<void> {
      const { put, gone } = seal(sessionId, mutations)
      await together(
        ...(put.ids.length > 0 ? [upsert(tx, [sessionId, put.types, put.ids, put.values])] : []),
        ...(gone.ids.length > 0 ? [remove(tx, [sessionId, gone.types, gone.ids])] : []),
      )
    },

    /** The values of those ids that exist. Type `x-inbox` is read from the inbox, each value a padded plaintext in base64. */
    async readKeys(
      db: Queryable,
      sessionId: string,
      type: string,
      ids: readonly string[],
    ): Promise<Record<string, string>> {
      if (ids.length === 0) return {}
      if (type === inboxKeyType) return readInboxKeys(db, secrets, sessionId, ids)
      const rows = await read(db, [sessionId, type, ids])
      return Object.fromEntries(
        rows.map(({ id, value }) => [id, secrets.decrypt(value, keyContext(sessionId, type, id)).toString()]),
      )
    },
  }
}
