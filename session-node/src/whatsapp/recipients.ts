import type { WASocket } from '@whiskeysockets/baileys'
import type { Address } from '../../contract/index.ts'
import { NodeError } from '../errors.ts'
import { addressOf } from './addresses.ts'
import { ExpiringCache } from './expiring-cache.ts'
import type { Identities } from './identities.ts'

const HOUR = 3_600_000

type Directory = Pick<WASocket, 'onWhatsApp'> & {
  signalRepository: { lidMapping: { getLIDForPN(pn: string): Promise<string | null> } }
}

/** Finds the account behind a number: the JID it really has (some countries have two forms), and its LID. */
export class Recipients {
  readonly #found = new ExpiringCache(24 * HOUR, 2_000)
  readonly #identities: Identities

  constructor(identities: Identities) {
    this.#identities = identities
  }

  /** the address as it is, with what we know of it */
  complete(to: Address): Address {
    return { ...addressOf(to.jid, undefined, this.#identities), ...to }
  }

  async resolve(socket: Directory, to: Address): Promise<Address> {
    if (!to.jid.endsWith('@s.whatsapp.net')) return this.complete(to)
    const known = this.#found.get<Address>(to.jid)
    if (known) return known
    const [found] = (await socket.onWhatsApp(to.jid)) ?? []
    if (!found?.exists) throw new NodeError('recipient_not_found')
    const lid = await socket.signalRepository.lidMapping.getLIDForPN(found.jid)
    const address = addressOf(found.jid, lid, this.#identities)
    this.#found.set(to.jid, address)
    return address
  }
}
