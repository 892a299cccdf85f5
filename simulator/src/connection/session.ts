import { child, stanza } from '../codec/stanza.ts'
import type { LinkedDevice } from '../directory/linked-device.ts'
import { Outlet } from '../faults/outlet.ts'
import { deviceJid, SERVER } from '../jid.ts'
import { nowSeconds } from '../router/envelope.ts'
import type { Stanza } from '../types.ts'
import type { Role } from './connection.ts'
import { type EndingStyle, ending } from './endings.ts'
import { answerIq } from './iq.ts'
import type { Server } from './server.ts'
import type { Wire } from './wire.ts'

export type Drop = 'tcp_reset' | 'close' | 'half_open' | 'mid_frame'

/** A linked device's connection, from its login to its end. */
export class Session implements Role {
  readonly device: LinkedDevice
  readonly #server: Server
  readonly #wire: Wire
  readonly #outlet: Outlet
  #ended = false

  constructor(server: Server, wire: Wire, device: LinkedDevice) {
    this.device = device
    this.#server = server
    this.#wire = wire
    server.sessions.get(device)?.end(440)
    server.sessions.set(device, this)
    server.counters.logins++
    device.connected = true
    device.connects++
    this.#outlet = new Outlet(server.faults, device, {
      write: (each) => wire.send(each),
      drop: (how) => this.drop(how),
      end: (code) => this.end(code),
    })
    this.#outlet.send(
      stanza('success', {
        t: nowSeconds(),
        lid: deviceJid(device, 'lid'),
        display_name: device.account.name,
      }),
    )
  }

  get name(): string {
    return deviceJid(this.device, 'pn')
  }

  stanza(received: Stanza): void {
    // what a client wrote before it learnt that it was cut off has not arrived
    if (this.#ended) return
    switch (received.tag) {
      case 'iq':
        this.#iq(received)
        break
      case 'ib':
        if (child(received, 'offline_batch')) this.#deliverOffline()
        break
      case 'message':
        this.#message(received)
        break
      case 'receipt':
        this.#server.counters.receipt(received.attrs.type ?? 'delivered')
        this.#acknowledge(received, {})
        this.#server.router.submit(this.device, received)
        break
      default:
        this.#server.router.submit(this.device, received)
    }
  }

  /** The socket is gone, or the session is over whatever the socket does. Idempotent. */
  closed(): void {
    if (this.#ended) return
    this.#ended = true
    const { device } = this
    device.disconnects++
    if (this.#server.sessions.get(device) !== this) return
    this.#server.sessions.delete(device)
    device.connected = false
    device.deliver = undefined
    this.#server.router.presence.forget(device, this.#server.router.addressing)
  }

  /** Ends the session with a code, in the code's usual style unless one is asked for. */
  end(code: number, style?: EndingStyle, expire?: number): void {
    this.closed()
    this.#wire.close(ending(code, style, expire))
  }

  /** Breaks the socket the way networks do. A half-open one stays "connected" for the server, too. */
  drop(how: Drop): void {
    if (how === 'half_open') {
      this.#wire.halfOpen()
      return
    }
    this.closed()
    if (how === 'tcp_reset') this.#wire.reset()
    else if (how === 'mid_frame')
      this.#wire.cutMidFrame(stanza('iq', { from: SERVER, type: 'get', xmlns: 'urn:xmpp:ping' }))
    else this.#wire.close()
  }

  #iq(iq: Stanza): void {
    const { id, type } = iq.attrs
    if (type === 'result' || type === 'error') return
    this.#server.counters.query(`${type} ${iq.attrs.xmlns}`)
    const answer = answerIq(this.#server, this.device, iq)
    if (answer === 'logout') {
      this.#outlet.send(stanza('iq', { id, from: SERVER, type: 'result' }))
      this.#server.unlink(this.device)
      return
    }
    const attrs = { id, from: iq.attrs.to ?? SERVER, type: answer.error ? 'error' : 'result' }
    this.#outlet.send(stanza('iq', attrs, answer.error ? [errorNode(answer.error)] : answer.content))
    if (iq.attrs.xmlns === 'passive' && child(iq, 'active')) this.#activate()
  }

  #message(message: Stanza): void {
    const { counters, router } = this.#server
    counters.messagesIn++
    if (isResend(message)) counters.retries++
    else if (this.device.isRepeat(message.attrs.id ?? '')) counters.repeats++
    const error = router.refusal(this.device, message) ?? this.#outlet.ackError()
    this.#acknowledge(message, { error: error?.toString() })
    if (error === undefined) router.submit(this.device, message)
  }

  #acknowledge({ tag, attrs }: Stanza, extra: Record<string, string | undefined>): void {
    this.#server.counters.acks++
    const type = tag === 'receipt' ? attrs.type : undefined
    const { id, to, participant } = attrs
    this.#outlet.send(
      stanza('ack', { class: tag, id, from: to, participant, type, t: nowSeconds(), ...extra }),
    )
  }

  /** The client listens now: what waits is announced, or else the line is open at once. */
  #activate(): void {
    const waiting = this.#server.router.mailbox(this.device).pending()
    if (waiting.length === 0) {
      this.#goLive(0)
      return
    }
    const count = (tag: string) => String(waiting.filter((each) => each.tag === tag).length)
    const counts = {
      count: String(waiting.length),
      message: count('message'),
      receipt: count('receipt'),
      notification: count('notification'),
      call: '0',
      appdata: '0',
    }
    this.#outlet.send(stanza('ib', { from: SERVER }, [stanza('offline_preview', counts)]))
  }

  #deliverOffline(): void {
    if (this.device.deliver) return
    const waiting = this.#server.router.mailbox(this.device).pending()
    for (const each of waiting) this.#write({ ...each, attrs: { ...each.attrs, offline: '1' } })
    this.#goLive(waiting.length)
  }

  #goLive(count: number): void {
    this.#outlet.send(stanza('ib', { from: SERVER }, [stanza('offline', { count: String(count) })]))
    if (this.#ended) return
    this.device.deliver = (each) => this.#write(each)
    if (this.device.welcomed) return
    this.device.welcomed = true
    this.#server.onFirstLogin(this.device)
  }

  #write(each: Stanza): void {
    if (each.tag === 'message') this.#server.counters.messagesOut++
    this.#outlet.send(each)
  }
}

const errorNode = ({ code, text }: { code: number; text: string }): Stanza =>
  stanza('error', { code: String(code), text })

/** A resend to one device carries its ciphertext directly, with the count of tries. */
const isResend = (message: Stanza): boolean => child(message, 'enc')?.attrs.count !== undefined
