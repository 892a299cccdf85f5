/** Waits until nothing is on its way any more: by what can be observed, never by a guess at how long it takes. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Stack } from '../harness/stack.ts'
import { connect } from '../orchestrator/src/db/connect.ts'

export interface Drained {
  ms: number
  /** what was still on its way when the time was over; empty: nothing */
  stuck: string[]
}

const LOOK_EVERY_MS = 250
/** looks in a row that must find nothing: between two queues a message is for a moment in neither */
const QUIET_LOOKS = 4

/** Every session active, WhatsApp with nothing left for us, every lane empty; resolves in any case after the time. */
export async function drain(stack: Stack, timeoutMs: number): Promise<Drained> {
  const began = performance.now()
  await reconnect(stack)
  let quiet = 0
  let stuck: string[] = []
  const database = await connect(stack.databaseUrl)
  try {
    while (quiet < QUIET_LOOKS && performance.now() - began < timeoutMs) {
      await delay(LOOK_EVERY_MS)
      stuck = [...(await atWhatsApp(stack)), ...(await inPostgres(database))]
      quiet = stuck.length === 0 ? quiet + 1 : 0
    }
  } finally {
    await database.end()
  }
  return { ms: Math.round(performance.now() - began), stuck }
}

/**
 * What a fault kept from leaving comes at the next login, and a half-open connection is noticed only after a while: so
 * each device logs in once more, as after any outage.
 */
async function reconnect({ simulator }: Stack): Promise<void> {
  const { devices } = await simulator.admin.counters()
  await Promise.all(
    devices
      .filter(({ connected }) => connected)
      .map(({ jid }) =>
        simulator.admin.drop(jid, 'tcp_reset').catch((error: unknown) => {
          // It went by itself meanwhile.
          if (!String(error).includes(' 409 ')) throw error
        }),
      ),
  )
}

async function atWhatsApp({ simulator }: Stack): Promise<string[]> {
  const { devices } = await simulator.admin.counters()
  return devices.flatMap(({ jid, connected, offline_queue }) => {
    if (!connected) return [`${jid} is not connected`]
    return offline_queue > 0 ? [`${offline_queue} stanzas for ${jid}`] : []
  })
}

async function inPostgres(database: Awaited<ReturnType<typeof connect>>): Promise<string[]> {
  const { rows } = await database.query<{ what: string }>(`
    select format('session of %s is %s (%s %s)', account_id, state, state_code, state_reason) as what
      from session where state <> 'active'
    union all select format('%s jobs of %s', count(*), key) from lane_job
      where state in ('pending', 'scheduled') group by key
    union all select format('%s messages of %s are pending', count(*), account_id) from message
      where status = 'pending' group by account_id`)
  return rows.map(({ what }) => what)
}
