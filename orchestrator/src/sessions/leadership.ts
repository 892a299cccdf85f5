/**
 * Of several orchestrators on one database, one reconciles: the one that holds an advisory lock on a connection kept
 * for it. When that connection ends, so does the lead, and another takes it. Whoever does not lead passes wake-ups to
 * the one that does.
 */
import type pg from 'pg'
import type { Logger } from '../logger.ts'
import { within } from './deadline.ts'

const lock = 72_707_370
const proofMs = 5_000
const channel = 'palomar_reconcile'

export interface Leadership {
  /** Takes the lead if it is free; proves it if it is ours. */
  lead(): Promise<boolean>
  /** Wakes the leader, wherever it is; an empty id means every session. */
  tell(sessionId: string): Promise<void>
  resign(): Promise<void>
}

export function createLeadership(
  pool: pg.Pool,
  logger: Logger,
  onTold: (sessionId: string) => void,
): Leadership {
  let leader: pg.PoolClient | undefined

  function lose(client: pg.PoolClient, error: Error): void {
    if (leader !== client) return
    leader = undefined
    logger.warn('lost the lead of the reconciler with its connection', { error })
    client.release(error)
    // Whoever looks next takes the lead again, if no other has.
    onTold('')
  }

  async function acquire(): Promise<boolean> {
    const client = await pool.connect()
    const broken = (error: Error) => lose(client, error)
    client.on('error', broken)
    try {
      const { rows } = await client.query<{ held: boolean }>('select pg_try_advisory_lock($1) as held', [
        lock,
      ])
      if (!rows[0]?.held) {
        client.off('error', broken)
        client.release()
        return false
      }
      client.on('notification', ({ payload }) => onTold(payload ?? ''))
      await client.query(`listen ${channel}`)
    } catch (error) {
      client.release(true)
      throw error
    }
    leader = client
    return true
  }

  return {
    async lead() {
      if (!leader) return acquire()
      const client = leader
      const proof = within(proofMs, 'the proof of the lead', client.query('select 1'))
      await proof.catch((error: Error) => lose(client, error))
      return leader !== undefined
    },
    async tell(sessionId) {
      await pool.query('select pg_notify($1, $2)', [channel, sessionId])
    },
    async resign() {
      const client = leader
      leader = undefined
      // Not given back to the pool: the lock goes with the connection.
      client?.release(true)
    },
  }
}
