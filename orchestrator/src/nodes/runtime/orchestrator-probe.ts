/**
 * What an orchestrator does with its nodes, as a program: `docker-in-container.test.ts` runs it inside a container with
 * the machine's network, as docker-compose.yml runs the orchestrator. Prints one JSON line.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { DockerRuntime } from './docker-runtime.ts'

const [installation = '', image = ''] = process.argv.slice(2)
const runtime = new DockerRuntime({ installation, images: { production: image } })
const { listenHost, callbackHost } = await runtime.prepare()
const internal = createServer((_request, response) => void response.end()).listen(0, listenHost)
await once(internal, 'listening')
const port = (internal.address() as AddressInfo).port

const spec = { name: `palomar-${installation}`, labels: {}, env: {}, bundle: 'production' as const }
const { handle, address } = await runtime.start(spec)
const ask = async (path: string): Promise<unknown> => {
  for (let tries = 0; ; tries++) {
    try {
      return await (await fetch(address + path, { signal: AbortSignal.timeout(5_000) })).json()
    } catch (error) {
      if (tries === 100) throw error
      await delay(50)
    }
  }
}
const health = await ask('/health')
const callback = await ask(`/dial?host=${callbackHost}&port=${port}`)
const usage = await runtime.usage(handle)
await runtime.close()
await runtime.dispose()
internal.close()
console.log(JSON.stringify({ address, health, callback, usage }))
