/**
 * `npm run bench:crowd -- [--clients 200]`: how many raw Baileys clients the simulator carries at once. All pair, all
 * stay connected, and each sends a text that is acknowledged. Prints one line of JSON last.
 */
import { parseArgs } from 'node:util'
import { startSimulatorProcess } from '../harness/simulator-process.ts'
import { processUsage } from '../orchestrator/src/nodes/runtime/process-usage.ts'
import { pairRaw, startRawProcess } from './raw/process.ts'
import { round, summarize } from './summary.ts'

const { values } = parseArgs({ options: { clients: { type: 'string', default: '200' } } })
const clients = Number(values.clients)
const simulator = await startSimulatorProcess()
const raw = startRawProcess(simulator.waUrl)
try {
  const began = performance.now()
  const connectMs: number[] = []
  for (let client = 0; client < clients; client++) {
    connectMs.push((await pairRaw(raw, simulator.admin, client)).connectMs)
    if ((client + 1) % 25 === 0) console.error(`crowd: ${client + 1} paired`)
  }
  const seconds = (performance.now() - began) / 1_000
  const contact = await simulator.admin.addContact({ name: 'Eva' })
  const everyone = Array.from({ length: clients }, (_, n) => n)
  const sent = await raw.call('send', { clients: everyone, inFlight: 1, count: 1, to: contact.jid })
  const { devices, violations } = await simulator.admin.counters()
  const connected = devices.filter((device) => device.connected).length
  const usage = await processUsage([simulator.pid])
  console.log(
    JSON.stringify({
      bench: 'crowd',
      clients,
      connected,
      violations: violations.length,
      acknowledged: sent.times.length,
      pair_seconds: round(seconds),
      connect: summarize(connectMs),
      ack: summarize(sent.times),
      simulator_private_mb: usage.privateBytes === null ? null : round(usage.privateBytes / 1024 / 1024),
    }),
  )
  process.exitCode = connected === clients && sent.times.length === clients ? 0 : 1
} finally {
  await raw.stop()
  await simulator.stop()
}
