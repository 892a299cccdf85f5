/** Who is calling: API keys to tenants. */
import type { Pool } from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { apiKeyPrefix, generateApiKey, hashApiKey, isPlausibleApiKey } from './api-key.ts'

export type Scope = 'admin' | 'read' | 'send'

export interface Caller {
  tenantId: string
  keyId: string
  scopes: readonly Scope[]
}

export interface Identity {
  /** null: no such key, or revoked. Answers are kept for a few seconds, so a revoked key ends within that time. */
  authenticate(key: string): Promise<Caller | null>
}

const CACHE_MS = 5_000
const CACHE_ENTRIES = 10_000

export function createIdentity(pool: Pool): Identity {
  const cache = new Map<string, { caller: Caller | null; until: number }>()
  return {
    async authenticate(key) {
      if (!isPlausibleApiKey(key)) return null
      const hash = hashApiKey(key)
      const id = hash.toString('base64')
      const now = Date.now()
      const cached = cache.get(id)
      if (cached && cached.until > now) return cached.caller
      const { rows } = await pool.query<{ id: string; tenant_id: string; scopes: Scope[] }>({
        name: 'api-key-by-hash',
        text: 'select id, tenant_id, scopes from api_key where hash = $1 and revoked_at is null',
        values: [hash],
      })
      const row = rows[0]
      const caller = row ? { tenantId: row.tenant_id, keyId: row.id, scopes: row.scopes } : null
      if (cache.size >= CACHE_ENTRIES) cache.clear()
      cache.set(id, { caller, until: now + CACHE_MS })
      return caller
    },
  }
}

/** A tenant and its first key. Returns the key, which is stored nowhere but as a hash. */
export async function createTenant(
  pool: Pool,
  options: { name: string; key?: string; scopes?: Scope[] },
): Promise<{ tenantId: string; key: string }> {
  const key = options.key ?? generateApiKey()
  const tenantId = uuidv7()
  await pool.query(
    `with t as (insert into tenant (id, name) values ($1, $2) returning id)
     insert into api_key (id, tenant_id, name, prefix, hash, scopes) select $3, t.id, 'admin', $4, $5, $6 from t`,
    [tenantId, options.name, uuidv7(), apiKeyPrefix(key), hashApiKey(key), options.scopes ?? ['admin']],
  )
  return { tenantId, key }
}

/**
 * At start: makes the first tenant with its admin key when there is none, and gives the key back to be shown once.
 * A configured key that is not known yet is added to the first tenant, so that it can be rotated by configuration.
 */
export async function ensureFirstTenant(
  pool: Pool,
  configuredKey: string | undefined,
): Promise<{ createdKey: string | null }> {
  const { rows } = await pool.query<{ id: string }>('select id from tenant order by created_at, id limit 1')
  const first = rows[0]
  if (!first) {
    const { key } = await createTenant(pool, { name: 'default', key: configuredKey })
    return { createdKey: configuredKey ? null : key }
  }
  if (configuredKey) {
    await pool.query(
      `insert into api_key (id, tenant_id, name, prefix, hash, scopes) values ($1, $2, 'admin (configured)', $3, $4, '{admin}')
       on conflict (hash) do nothing`,
      [uuidv7(), first.id, apiKeyPrefix(configuredKey), hashApiKey(configuredKey)],
    )
  }
  return { createdKey: null }
}
