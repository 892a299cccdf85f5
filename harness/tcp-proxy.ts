/** A TCP proxy that can be made as bad as a network: slow, narrow, choppy, silent, cut. Controlled while it runs. */
import { once } from 'node:events'
import { createServer, type Socket, connect as tcpConnect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type Random, seededRandom } from '../simulator/src/faults/random.ts'

/** What is left out is as on a good network. Chances are drawn from the proxy's seed. */
export interface LinkConditions {
  /** added to everything, each way, order kept */
  latencyMs?: number
  /** up to this much more, order kept */
  jitterMs?: number
  /** the most that passes a second, each way of each connection */
  bytesPerSecond?: number
  /** everything is cut into pieces of at most so many bytes, each a segment of its own */
  sliceBytes?: number
  /** nothing passes, and nobody is told; what was held flows on afterwards */
  blackhole?: boolean
  /** new connections are reset */
  refuse?: boolean
}

export interface TcpProxy {
  readonly host: string
  readonly port: number
  /** connections that are open now */
  readonly connections: number
  /** replaces all conditions, for open connections too; `{}` is a good network */
  set(conditions: LinkConditions): void
  /** resets all open connections */
  reset(): void
  close(): Promise<void>
}

export interface TcpProxyOptions {
  target: { host: string; port: number }
  host?: string
  seed?: number
}

/** bytes held in one direction before its source is paused */
const MAX_HELD = 1024 * 1024

/** Starts a proxy on a free port. Its target need not be there: a connection to it then ends as it would without us. */
export async function startTcpProxy(options: TcpProxyOptions): Promise<TcpProxy> {
  const { target, host = '127.0.0.1', seed = 1 } = options
  const link = new Link(seededRandom(seed))
  const open = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    if (link.conditions.refuse) {
      near.on('error', () => undefined).resetAndDestroy()
      return
    }
    const far = tcpConnect({ ...target, allowHalfOpen: true, noDelay: true })
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(from)
      from.on('error', () => to.resetAndDestroy())
      from.on('close', () => {
        open.delete(from)
        if (!from.readableEnded) to.resetAndDestroy()
      })
      new Flow(from, to, link)
    }
  })
  server.listen(0, host)
  await once(server, 'listening')
  const address = server.address()
  if (!address || typeof address === 'string') throw new Error('the proxy has no port')
  const reset = () => {
    for (const socket of open) socket.resetAndDestroy()
  }
  return {
    host,
    port: address.port,
    get connections() {
      return open.size / 2
    },
    set: (conditions) => link.set(conditions),
    reset,
    async close() {
      link.set({})
      server.close()
      reset()
      await once(server, 'close')
    },
  }
}

/** The conditions that all connections of one proxy share. */
class Link {
  readonly random: Random
  conditions: LinkConditions = {}
  #passable = Promise.resolve()
  #open: () => void = () => undefined

  constructor(random: Random) {
    this.random = random
  }

  set(conditions: LinkConditions): void {
    this.conditions = conditions
    this.#open()
    if (conditions.blackhole) {
      this.#passable = new Promise((resolve) => {
        this.#open = resolve
      })
    }
  }

  /** resolves when bytes may pass */
  passable(): Promise<void> {
    return this.#passable
  }

  /** how long a chunk that comes in now takes */
  transit(): number {
    const { latencyMs = 0, jitterMs = 0 } = this.conditions
    return latencyMs + (jitterMs > 0 ? this.random() * jitterMs : 0)
  }

  slices(data: Buffer): Buffer[] {
    const { sliceBytes } = this.conditions
    if (!sliceBytes) return [data]
    const pieces: Buffer[] = []
    for (let start = 0; start < data.length; ) {
      const end = start + 1 + Math.floor(this.random() * sliceBytes)
      pieces.push(data.subarray(start, end))
      start = end
    }
    return pieces
  }
}

/** One direction of one connection: bytes leave in the order they came, each not before it is due. */
class Flow {
  readonly #from: Socket
  readonly #to: Socket
  readonly #link: Link
  readonly #queue: { due: number; data: Buffer }[] = []
  #held = 0
  #running = false

  constructor(from: Socket, to: Socket, link: Link) {
    this.#from = from
    this.#to = to
    this.#link = link
    from.on('data', (data) => this.#take(data))
    from.on('end', () => void this.#run())
  }

  #take(data: Buffer): void {
    const due = Math.max(this.#queue.at(-1)?.due ?? 0, performance.now() + this.#link.transit())
    for (const piece of this.#link.slices(data)) this.#queue.push({ due, data: piece })
    this.#held += data.length
    if (this.#held > MAX_HELD) this.#from.pause()
    void this.#run()
  }

  async #run(): Promise<void> {
    if (this.#running) return
    this.#running = true
    for (let next = this.#queue[0]; next && !this.#to.destroyed; next = this.#queue[0]) {
      await this.#link.passable()
      const early = next.due - performance.now()
      if (early > 0) {
        await delay(early, undefined, { ref: false })
        continue
      }
      this.#queue.shift()
      await this.#write(next.data)
      this.#held -= next.data.length
      if (this.#held < MAX_HELD / 2) this.#from.resume()
    }
    this.#running = false
    if (this.#from.readableEnded && !this.#to.destroyed) this.#to.end()
  }

  async #write(data: Buffer): Promise<void> {
    const { bytesPerSecond, sliceBytes } = this.#link.conditions
    if (bytesPerSecond) await delay((data.length * 1000) / bytesPerSecond, undefined, { ref: false })
    // A turn of the loop, so that this piece is not joined to the one before.
    else if (sliceBytes) await delay(0, undefined, { ref: false })
    if (this.#to.write(data)) return
    await Promise.race([once(this.#to, 'drain'), once(this.#to, 'close')]).catch(() => undefined)
  }
}
