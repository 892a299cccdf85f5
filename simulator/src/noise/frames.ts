import { NOISE_WA_HEADER } from '@whiskeysockets/baileys'

const HEADER = Buffer.from(NOISE_WA_HEADER)
const ROUTING = Buffer.from('ED')
const ROUTING_HEADER_BYTES = 7
/** an upload of 812 prekeys is about 40 kB; media never passes here */
const MAX_FRAME_BYTES = 8 * 1024 * 1024

/** A payload behind its 3-byte big-endian length. */
export function frame(payload: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(3 + payload.length)
  out.writeUIntBE(payload.length, 0, 3)
  out.set(payload, 3)
  return out
}

/** Cuts the client's byte stream into frames; the first bytes are the WhatsApp intro. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0)
  #introduced = false

  /** Frames that became complete with this chunk. Throws on a wrong intro or an absurd length. */
  push(chunk: Buffer): Buffer[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    if (!this.#introduced && !this.#takeIntro()) return []
    const frames: Buffer[] = []
    while (this.#rest.length >= 3) {
      const end = 3 + this.#rest.readUIntBE(0, 3)
      if (end > MAX_FRAME_BYTES) throw new Error(`frame of ${end} bytes`)
      if (this.#rest.length < end) break
      frames.push(this.#rest.subarray(3, end))
      this.#rest = this.#rest.subarray(end)
    }
    return frames
  }

  #takeIntro(): boolean {
    let start = 0
    if (this.#rest.subarray(0, 2).equals(ROUTING)) {
      if (this.#rest.length < ROUTING_HEADER_BYTES) return false
      start = ROUTING_HEADER_BYTES + this.#rest.readUIntBE(4, 3)
    }
    if (this.#rest.length < start + HEADER.length) return false
    if (!this.#rest.subarray(start, start + HEADER.length).equals(HEADER))
      throw new Error('not a WhatsApp intro')
    this.#rest = this.#rest.subarray(start + HEADER.length)
    this.#introduced = true
    return true
  }
}
