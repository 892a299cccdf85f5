/** The process of the raw Baileys clients: carries out what its parent asks, and ends with it. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text as readText } from 'node:stream/consumers'
import { closedLoop } from '../load.ts'
import { createRawClient, type RawClient } from './client.ts'
import type { RawAnswer, RawCall, RawCalls, RawRequest } from './protocol.ts'

// libsignal prints whole sessions, and Baileys its notices; both would be paid for in the figures.
console.log = console.info = console.warn = console.error = () => undefined

const [url = ''] = process.argv.slice(2)
const clients = new Map<number, RawClient>()

const clientOf = (n: number): RawClient => {
  const client = clients.get(n)
  if (!client) throw new Error(`there is no raw client ${n}`)
  return client
}

const calls: { [C in RawCall]: (args: RawCalls[C]['args']) => Promise<RawCalls[C]['result']> } = {
  async qr({ client: n }) {
    const began = performance.now()
    const client = createRawClient(url)
    clients.set(n, client)
    const qr = await client.qr()
    return { qr, qrMs: performance.now() - began }
  },
  open: async ({ client }) => ({ at: await clientOf(client).open() }),
  async send({ clients: senders, inFlight, count, to }) {
    const began = performance.now()
    const loops = await Promise.all(
      senders.map((sender) =>
        closedLoop({ inFlight, count }, (n) => clientOf(sender).sendText(to, `raw ${sender} ${n}`)),
      ),
    )
    return { times: loops.flatMap(({ times }) => times), seconds: (performance.now() - began) / 1000 }
  },
  async listen() {
    const server = createServer((request, response) => {
      readText(request)
        .then(async (body) => {
          const { client, to, text } = JSON.parse(body) as { client: number; to: string; text: string }
          await clientOf(client).sendText(to, text)
          response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
        })
        .catch((error) => response.destroy(error))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
  },
  async end({ client }) {
    clientOf(client).end()
    clients.delete(client)
    return null
  },
}

const answer = (message: RawAnswer) => process.send?.(message)

process.on('message', ({ n, call, args }: RawRequest) => {
  const run = calls[call] as (args: RawRequest['args']) => Promise<RawCalls[RawCall]['result']>
  run(args).then(
    (result) => answer({ n, result }),
    (error: unknown) =>
      answer({ n, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  )
})
process.on('disconnect', () => process.exit(0))
// The parent decides when it ends; a Ctrl-C in the terminal reaches both.
process.on('SIGINT', () => undefined)
