/**
 * `npm run bench:start -- [--runtime process|docker] [--runs 10]`
 *
 * How long a person waits: from POST /api/accounts to the QR, from the scan to connected, and after the node was
 * killed until the session is connected, and receives, again. Beside it what it cannot be faster than: raw Baileys'
 * own pairing in the same run, and the runtime's own start of the same bundle, to its first HTTP answer.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { nodeLister } from '../harness/node-control.ts'
import { pairAccount } from '../harness/pairing.ts'
import { type EventStream, openEvents, type PalomarEvent, until } from '../harness/palomar-client.ts'
import type { SimulatorProcess } from '../harness/simulator-process.ts'
import { openRuntime } from '../orchestrator/src/nodes/runtime/open-runtime.ts'
import type { Runtime } from '../orchestrator/src/nodes/runtime/runtime.ts'
import { type Bench, benchmark } from './benchmark.ts'
import { pairRaw, startRawProcess } from './raw/process.ts'
import { summarize } from './summary.ts'

const defaults = { runs: 5 }

await benchmark('start', defaults, async (bench) => {
  const { stack, sizes, say, signal, onEnd } = bench
  const { admin, waUrl } = stack.simulator
  const raw = startRawProcess(waUrl)
  onEnd(() => raw.stop())
  const runtime = await floorRuntime(bench)
  const contact = await admin.addContact({ name: 'Eva' })
  const times: Record<string, number[]> = {}
  const note = (name: string, ms: number) => {
    times[name] = [...(times[name] ?? []), ms]
  }

  for (let n = 0; n < sizes.runs; n++) {
    signal.throwIfAborted()
    note('floor', await startToAnswer(runtime, stack.simulator))
    const theirs = await pairRaw(raw, admin, n)
    await raw.call('end', { client: n })
    note('raw_qr', theirs.qrMs)
    note('raw_connect', theirs.connectMs)
    // An account of its own for each run: a session's second death in a row is met with a back-off.
    const events = await openEvents(stack.client)
    const account = await pairAccount(stack, events, `account ${n}`)
    note('qr', account.qrMs)
    note('connect', account.connectMs)
    const { connected, receiving } = await killed(bench, events, account, contact.phone)
    note('killed_to_connected', connected)
    note('killed_to_receiving', receiving)
    await stack.client.ok('DELETE', `/api/accounts/${account.id}`)
    events.close()
    say(
      `run ${n + 1}: ${Object.entries(times)
        .map(([name, all]) => `${name} ${Math.round(all.at(-1) ?? 0)}`)
        .join(', ')} ms`,
    )
  }
  return Object.fromEntries(Object.entries(times).map(([name, all]) => [name, summarize(all)]))
})

/** Kills the session's node, and at once has a contact write, as contacts do. */
async function killed(
  { stack }: Bench<typeof defaults>,
  events: EventStream,
  account: { id: string; phone: string },
  contact: string,
): Promise<{ connected: number; receiving: number }> {
  const node = await until(
    'the node of the session',
    async () => {
      const session = await stack.client.ok<{ id: string }>('GET', `/api/accounts/${account.id}/session`)
      return (await nodeLister(stack.runtime, stack)()).find(({ sessionId }) => sessionId === session.id)
    },
    (found) => found !== undefined,
  )
  const before = events.events.length
  const since = (event: PalomarEvent) =>
    event.account_id === account.id && events.events.indexOf(event) >= before
  const body = `are you there? ${account.id}`
  const began = performance.now()
  await node?.kill()
  const told = async (type: string, fits: (event: PalomarEvent) => boolean) => {
    await events.waitFor(type, (event) => event.type === type && since(event) && fits(event), 60_000)
    return performance.now() - began
  }
  const [connected, receiving] = await Promise.all([
    told('session.status.connected', () => true),
    told('message.received', ({ data }) => JSON.stringify(data).includes(body)),
    stack.simulator.admin.contactSend({ phone: contact, to: account.phone, text: body }),
  ])
  return { connected, receiving }
}

/** The driver as it is, with an installation of its own that nothing orchestrates. */
async function floorRuntime({ stack, onEnd }: Bench<typeof defaults>): Promise<Runtime> {
  const installation = `${stack.installation}-floor`
  const runtime = await openRuntime({
    ...{ kind: stack.runtime, installation, dataDir: `${stack.dataDir}/floor`, simulator: true },
  })
  onEnd(async () => {
    for (const node of await runtime.list()) await runtime.stop(node.handle, 0)
    await runtime.close()
    if ('dispose' in runtime) await (runtime as Runtime & { dispose(): Promise<void> }).dispose()
  })
  await runtime.prepare()
  return runtime
}

/** From the driver's start to any HTTP answer of the session node, which here has nobody to attach to. */
async function startToAnswer(runtime: Runtime, simulator: SimulatorProcess): Promise<number> {
  const id = randomUUID()
  const began = performance.now()
  const { handle, address } = await runtime.start({
    name: `palomar-${id}`,
    labels: { session_id: id, node_id: id },
    env: {
      PALOMAR_SESSION_ID: id,
      PALOMAR_NODE_ID: id,
      PALOMAR_NODE_TOKEN: 'nobody-will-ever-ask',
      // Nothing listens on the discard port.
      PALOMAR_ORCHESTRATOR_URL: 'http://127.0.0.1:9',
      PALOMAR_SIMULATOR_URL: simulator.waUrl,
      PALOMAR_SIMULATOR_ROOT_KEY: simulator.rootKey,
    },
    bundle: 'simulator',
  })
  try {
    for (;;) {
      const answered = await fetch(`${address}/health`).then(
        () => true,
        () => false,
      )
      if (answered) return performance.now() - began
      await delay(5)
    }
  } finally {
    await runtime.stop(handle, 0)
  }
}
