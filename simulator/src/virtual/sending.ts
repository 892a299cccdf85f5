/** What a person writes: a text, once or in a row, to somebody named by number or JID. */
import { jidNormalizedUser } from '@whiskeysockets/baileys'
import { personJid } from '../jid.ts'
import type { ServerPort } from '../types.ts'
import type { Timers } from './timers.ts'
import type { VirtualDevice } from './virtual-device.ts'

export interface Sending {
  /** bare JID of a person or a group, or the digits of a phone number */
  to: string
  /** `{n}` becomes the number of the message, from 1 */
  text: string
  count?: number | undefined
  /** spreads the messages evenly; without it they leave as fast as they can be encrypted */
  ratePerSecond?: number | undefined
}

/** Resolves with the ids that were sent, in order: fewer than `count` when the timers were closed meanwhile. */
export async function sendAll(
  port: ServerPort,
  device: VirtualDevice,
  timers: Timers,
  { to, text, count = 1, ratePerSecond }: Sending,
): Promise<string[]> {
  const address = addressOf(port, to)
  const started = performance.now()
  const ids: string[] = []
  for (let n = 0; n < count; n++) {
    // Due times are counted from the start, so that late timers do not slow the whole row down.
    const due = ratePerSecond ? started + (n * 1000) / ratePerSecond : 0
    if (!(await timers.wait(due - performance.now()))) break
    ids.push(await device.send(address, { conversation: text.replaceAll('{n}', String(n + 1)) }))
  }
  return ids
}

/** Digits become the JID that messages to that person carry now. */
function addressOf(port: ServerPort, to: string): string {
  if (to.includes('@')) return jidNormalizedUser(to)
  const jid = `${to}@s.whatsapp.net`
  const person = port.devicesOf(jid)[0]?.account
  return person ? personJid(person, port.addressing()) : jid
}
