import { child, stanza } from '../codec/stanza.ts'
import { parseJid, SERVER } from '../jid.ts'
import type { Companion } from '../phone/companion.ts'
import { Pairing } from '../phone/pairing.ts'
import type { Stanza } from '../types.ts'
import type { Role } from './connection.ts'
import { streamError } from './endings.ts'
import type { Server } from './server.ts'
import type { Wire } from './wire.ts'

/** A connection whose client is not linked yet: it shows QR codes and asks for pairing codes. */
export class Registration implements Role {
  readonly #server: Server
  readonly #wire: Wire
  readonly #pairing: Pairing

  constructor(server: Server, wire: Wire, companion: Companion) {
    this.#server = server
    this.#wire = wire
    this.#pairing = new Pairing(companion, {
      send: (each) => wire.send(each),
      restart: () => wire.close(streamError(515)),
      refuse: (violation) => {
        server.counters.violation(violation, 'unregistered', 'pairing refused')
        wire.close(streamError(401))
      },
    })
    server.lobby.enter(this.#pairing)
    this.#pairing.offer()
  }

  stanza(received: Stanza): void {
    if (received.tag !== 'iq') return
    const { id, type } = received.attrs
    if (type === 'result') {
      this.#pairing.signed(received)
      return
    }
    const answer = this.#answer(received)
    this.#wire.send(
      answer
        ? stanza('iq', { id, from: SERVER, type: 'result' }, answer)
        : stanza('iq', { id, from: SERVER, type: 'error' }, [
            stanza('error', { code: '400', text: 'bad-request' }),
          ]),
    )
  }

  closed(): void {
    this.#server.lobby.leave(this.#pairing)
  }

  #answer(iq: Stanza): Stanza[] | undefined {
    const request = child(iq, 'link_code_companion_reg')
    if (!request) return []
    if (request.attrs.stage === 'companion_finish') return this.#pairing.finish(request) ? [] : undefined
    const phone = parseJid(request.attrs.jid)?.user
    if (!phone) return undefined
    const answer = this.#pairing.hello(request)
    this.#server.lobby.askedForCode(phone, this.#pairing)
    return answer
  }
}
