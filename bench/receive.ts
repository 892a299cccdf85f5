/**
 * `npm run bench:receive -- [--runtime process|docker] [--rate 100] [--seconds 10] [--offline 2000]`
 *
 * How fast messages come in: from the frame that leaves the WhatsApp server to the event on a client's WebSocket,
 * which is sent only once the message's row is committed; and how fast a row of messages that waited for a stopped
 * session is drained.
 */
import { pairAccounts } from '../harness/pairing.ts'
import { until } from '../harness/palomar-client.ts'
import type { SimulatorAdmin } from '../harness/simulator-process.ts'
import { type Bench, benchmark } from './benchmark.ts'
import { listenFor } from './listener.ts'
import { round, summarize } from './summary.ts'
import { createTally } from './tally.ts'
import { cpuOf, cpuPer } from './usage.ts'

const defaults = { rate: 100, seconds: 10, offline: 2_000 }
type ReceiveBench = Bench<typeof defaults>

interface Scene {
  account: { id: string; phone: string }
  admin: SimulatorAdmin
  arrivals: Arrivals
}

/** when each message's event came, by its WhatsApp id: on the WebSocket, and as the event log dates it */
interface Arrivals {
  frames: Map<string, { at: number; loggedAt: number }>
  count(): number
  reaches(target: number): Promise<void>
}

await benchmark('receive', defaults, async (bench) => {
  const scene = await prepare(bench)
  return { live: await live(bench, scene), offline: await offline(bench, scene) }
})

async function prepare({ stack, onEnd }: ReceiveBench): Promise<Scene> {
  const [account] = await pairAccounts(stack, 1)
  if (!account) throw new Error('no account')
  const frames: Arrivals['frames'] = new Map()
  const tally = createTally()
  const listener = await listenFor(stack.client, ['message.received'], ({ created_at, data }, at) => {
    const { wa_id } = data.message as { wa_id: string }
    if (frames.has(wa_id)) throw new Error(`${wa_id} came twice`)
    frames.set(wa_id, { at, loggedAt: Date.parse(created_at) })
    tally.add()
  })
  onEnd(() => listener.close())
  const arrivals = { frames, count: () => tally.count, reaches: (target: number) => tally.reaches(target) }
  return { account, admin: stack.simulator.admin, arrivals }
}

async function live({ stack, sizes, say }: ReceiveBench, { account, admin, arrivals }: Scene) {
  const { phone } = await admin.addContact({ name: 'Eva' })
  // The first messages start the Signal session and load code.
  await admin.contactSend({ phone, to: account.phone, text: 'warm-up {n}', count: 50, rate_per_second: 50 })
  await arrivals.reaches(50)
  const count = Math.ceil(sizes.rate * sizes.seconds)
  const before = await cpuOf(stack)
  const row = { phone, to: account.phone, text: '{n}', count, rate_per_second: sizes.rate }
  const { ids } = await admin.contactSend(row)
  await arrivals.reaches(50 + count)
  const cpu_ms = cpuPer(count, before, await cpuOf(stack))
  const sentAt = new Map((await admin.sent(phone)).map(({ id, at }) => [id, at]))
  const came = ids.map((id) => {
    const [frame, left] = [arrivals.frames.get(id), sentAt.get(id)]
    if (!frame || left === undefined) throw new Error(`${id} is not accounted for`)
    return { logged: frame.loggedAt - left, socket: frame.at - left }
  })
  const first = sentAt.get(ids[0] ?? '') ?? 0
  const last = sentAt.get(ids.at(-1) ?? '') ?? 0
  const report = {
    // The simulator may be slower than it was asked to be.
    rate: round(((count - 1) * 1000) / (last - first)),
    to_websocket: summarize(came.map(({ socket }) => socket)),
    to_event_log: summarize(came.map(({ logged }) => logged)),
    cpu_ms,
  }
  say(`live: ${JSON.stringify(report)}`)
  return report
}

/** A session that was stopped, and people who wrote meanwhile. */
async function offline({ stack, sizes, say }: ReceiveBench, { account, admin, arrivals }: Scene) {
  const session = `/api/accounts/${account.id}/session`
  await stack.client.ok('POST', `${session}/stop`)
  await until(
    'the end of its connection',
    async () => (await admin.counters()).devices.some(({ connected }) => connected),
    (connected) => !connected,
  )
  const already = arrivals.count()
  const { phone } = await admin.addContact({ name: 'Rui' })
  await admin.contactSend({ phone, to: account.phone, text: '{n}', count: sizes.offline })
  const before = await cpuOf(stack)
  const began = performance.timeOrigin + performance.now()
  await stack.client.ok('POST', session)
  await arrivals.reaches(already + sizes.offline)
  const after = await cpuOf(stack)
  const times = [...arrivals.frames.values()].slice(already).map(({ at }) => at)
  const [first = 0, last = 0] = [times[0], times.at(-1)]
  const report = {
    messages: sizes.offline,
    start_to_first_ms: Math.round(first - began),
    first_to_last_ms: Math.round(last - first),
    per_second: round((sizes.offline * 1000) / (last - first)),
    cpu_ms: cpuPer(sizes.offline, before, after),
  }
  say(`offline: ${JSON.stringify(report)}`)
  return report
}
