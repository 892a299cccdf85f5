import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import { decodeStanza, encodeStanza } from '../codec/stanza.ts'
import type { ServerIdentity } from '../noise/certificate.ts'
import { FrameReader, frame } from '../noise/frames.ts'
import { type HandshakeResult, ServerHandshake, type Transport } from '../noise/handshake.ts'
import type { Stanza } from '../types.ts'

export interface WireEvents {
  authenticated(result: HandshakeResult): void
  stanza(stanza: Stanza): void
  /** the client sent what cannot be read; the wire is closed after this */
  malformed(error: Error): void
  closed(): void
}

/** a client that does not answer a close is cut off */
const CLOSE_PATIENCE_MS = 2_000
/** far beyond any client's own timeout; only so that sockets do not pile up */
const HALF_OPEN_MS = 180_000

/** One socket: bytes to stanzas and back, and all the ways a socket can end. */
export class Wire {
  readonly #ws: WebSocket
  readonly #tcp: Socket
  readonly #events: WireEvents
  readonly #frames = new FrameReader()
  readonly #handshake: ServerHandshake
  #stage: 'hello' | 'finish' | 'transport' = 'hello'
  #transport: Transport | undefined
  #swallowing = false

  constructor(ws: WebSocket, tcp: Socket, identity: ServerIdentity, events: WireEvents) {
    this.#ws = ws
    this.#tcp = tcp
    this.#events = events
    this.#handshake = new ServerHandshake(identity)
    ws.on('message', (data: Buffer) => this.#read(data))
    ws.on('close', () => events.closed())
    // a reset by the peer is reported here first; `close` always follows
    ws.on('error', () => ws.terminate())
  }

  /** Writes a stanza; nothing happens when the socket is closing or half-open. */
  send(stanza: Stanza): void {
    if (!this.#transport || this.#swallowing || this.#ws.readyState !== this.#ws.OPEN) return
    this.#ws.send(frame(this.#transport.outgoing.encrypt(encodeStanza(stanza))))
  }

  /** Closes in good order, after a last stanza. A half-open socket lets not even that through. */
  close(last?: Stanza): void {
    if (this.#swallowing) return
    if (last) this.send(last)
    this.#ws.close()
    setTimeout(() => this.#ws.terminate(), CLOSE_PATIENCE_MS).unref()
  }

  /** The peer sees ECONNRESET. */
  reset(): void {
    this.#tcp.resetAndDestroy()
  }

  /** Stops in the middle of a WebSocket frame. */
  cutMidFrame(stanza: Stanza): void {
    if (!this.#transport) return
    const payload = frame(this.#transport.outgoing.encrypt(encodeStanza(stanza)))
    const header = Buffer.from([0x82, 126, payload.length >> 8, payload.length & 0xff])
    this.#tcp.end(Buffer.concat([header, payload.subarray(0, payload.length >> 1)]))
    this.#swallowing = true
    this.#tcp.destroySoon()
  }

  /** The connection stays up and nothing passes any more, either way. */
  halfOpen(): void {
    this.#swallowing = true
    this.#tcp.pause()
    setTimeout(() => this.#ws.terminate(), HALF_OPEN_MS).unref()
  }

  #read(data: Buffer): void {
    if (this.#swallowing) return
    try {
      for (const each of this.#frames.push(data)) this.#frame(each)
    } catch (error) {
      this.#events.malformed(error instanceof Error ? error : new Error(String(error)))
      this.#ws.terminate()
    }
  }

  #frame(bytes: Buffer): void {
    if (this.#transport) {
      this.#events.stanza(decodeStanza(this.#transport.incoming.decrypt(bytes)))
    } else if (this.#stage === 'hello') {
      this.#stage = 'finish'
      this.#ws.send(frame(this.#handshake.hello(bytes)))
    } else {
      this.#stage = 'transport'
      const result = this.#handshake.finish(bytes)
      this.#transport = result.transport
      this.#events.authenticated(result)
    }
  }
}
