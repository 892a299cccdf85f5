import type { BinaryNode } from '@whiskeysockets/baileys'

export interface Acknowledgement {
  /** seconds, the server's clock */
  timestamp: number
  /** the server's code when it refused */
  error: number | undefined
}

const MAX_REMEMBERED = 5_000

/** Which of our messages the server has acknowledged: before a repeat is sent, and while a send waits. */
export class Acknowledgements {
  /** acknowledged ids and when; 0: before this process */
  readonly #acked = new Map<string, number>()
  /** sent and not answered; they stay after their sender gave up, for the ack may still come */
  readonly #expected = new Map<string, ((ack: Acknowledgement) => void) | undefined>()

  constructor(acked: readonly string[]) {
    for (const id of acked) this.#acked.set(id, 0)
  }

  /** when it was acknowledged; undefined: it was not, as far as we know */
  acknowledgedAt(id: string): number | undefined {
    return this.#acked.get(id)
  }

  /** to be called before the bytes leave */
  expect(id: string): Promise<Acknowledgement> {
    return new Promise((resolve) => put(this.#expected, id, resolve))
  }

  /** an ack stanza; undefined when it is of none of our messages (Baileys sends some of its own) */
  receive({ attrs }: BinaryNode): (Acknowledgement & { id: string }) | undefined {
    const { id } = attrs
    if (!id || !this.#expected.has(id)) return undefined
    const time = Number(attrs.t)
    const ack = {
      timestamp: Number.isSafeInteger(time) && time > 0 ? time : Math.floor(Date.now() / 1000),
      error: attrs.error === undefined ? undefined : Number(attrs.error) || 0,
    }
    if (ack.error === undefined) put(this.#acked, id, ack.timestamp)
    this.#expected.get(id)?.(ack)
    this.#expected.delete(id)
    return { id, ...ack }
  }
}

const put = <T>(map: Map<string, T>, id: string, value: T) => {
  map.delete(id)
  map.set(id, value)
  if (map.size > MAX_REMEMBERED) {
    const [oldest] = map.keys()
    if (oldest !== undefined) map.delete(oldest)
  }
}
