import { Refusal } from '../refusal.ts'

export interface ScannedQr {
  readonly ref: string
  readonly noiseKey: Buffer
  readonly identity: Buffer
  readonly advSecret: Buffer
}

/** Reads a QR's text, with or without its URL. 400 when a part is missing or is no 32-byte key. */
export function readQr(text: string): ScannedQr {
  const [ref, ...rest] = text.slice(text.indexOf('#') + 1).split(',')
  const keys = rest.slice(0, 3).map((part) => Buffer.from(part, 'base64'))
  const [noiseKey, identity, advSecret] = keys
  if (!ref || !noiseKey || !identity || !advSecret || keys.some((key) => key.length !== 32)) {
    throw new Refusal(400, 'not the text of a WhatsApp QR code')
  }
  return { ref, noiseKey, identity, advSecret }
}
