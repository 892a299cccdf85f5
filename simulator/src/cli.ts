/** Runs a simulator of its own: `tsx simulator/src/cli.ts [--port] [--host] [--seed] [--addressing pn|lid]`. */
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { startSimulator } from './simulator.ts'
import { quietLibsignal } from './virtual/quiet-libsignal.ts'

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    host: { type: 'string', default: '127.0.0.1' },
    seed: { type: 'string', default: '1' },
    addressing: { type: 'string', default: 'pn' },
  },
})
const options = z
  .object({
    port: z.coerce.number().int().min(0).max(65_535),
    host: z.string(),
    seed: z.coerce.number().int(),
    addressing: z.enum(['pn', 'lid']),
  })
  .parse(values)
quietLibsignal()
const simulator = await startSimulator(options)
const ready = { wa_url: simulator.waUrl, admin_url: simulator.adminUrl, root_key: simulator.rootKey }
process.stdout.write(`${JSON.stringify(ready)}\n`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => simulator.close().then(() => process.exit(0)))
}
