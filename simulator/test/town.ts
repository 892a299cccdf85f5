/** A simulator with its clients, and an end for all of them. */
import { type Linked, type Simulator, type SimulatorOptions, startSimulator } from '../src/simulator.ts'
import type { Addressing } from '../src/types.ts'
import { Client } from './client.ts'

type Config = ConstructorParameters<typeof Client>[1]

export interface Resident extends Linked {
  readonly client: Client
  /** bare JID, the way chats of this addressing name the person */
  readonly chat: string
}

export class Town {
  readonly simulator: Simulator
  readonly #addressing: Addressing
  readonly #clients: Client[] = []

  private constructor(simulator: Simulator, addressing: Addressing) {
    this.simulator = simulator
    this.#addressing = addressing
  }

  static async found(options: SimulatorOptions = {}): Promise<Town> {
    return new Town(await startSimulator(options), options.addressing ?? 'pn')
  }

  /** A client that is not linked yet. */
  stranger(extra: Config = {}): Client {
    const client = new Client(this.simulator.waUrl, extra).connect()
    this.#clients.push(client)
    return client
  }

  /** A client linked to a phone of its own, or to a given one, and online. */
  async resident(name: string, phone?: string, extra: Config = {}): Promise<Resident> {
    const client = this.stranger(extra)
    const qr = await client.until('qr', () => client.qr)
    const linked = await this.simulator.scanQr({ qr, name, phone })
    await client.open()
    // a client holds its events back until the history is there, or 20 s
    await client.until('history', () => client.auth.creds.accountSyncCounter > 0)
    const chat =
      this.#addressing === 'pn' ? `${linked.phone}@s.whatsapp.net` : `${linked.lid.replace(/:.*/, '')}@lid`
    return { ...linked, client, chat }
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.end()
    await this.simulator.close()
  }
}
