/** Whom a caller means, in any form that users of this field write. */
import type { Address } from '@palomar/session-node/contract'
import { PalomarError } from '../errors.ts'

const jidForms: Record<string, { user: RegExp; address: (user: string) => Address }> = {
  's.whatsapp.net': { user: /^\d{7,15}(?=(:\d+)?$)/, address: person },
  'c.us': { user: /^\d{7,15}(?=(:\d+)?$)/, address: person },
  lid: { user: /^\d{5,24}(?=(:\d+)?$)/, address: (lid) => ({ jid: `${lid}@lid`, lid }) },
  'g.us': { user: /^\d{5,24}(-\d{5,15})?$/, address: (id) => ({ jid: `${id}@g.us` }) },
  newsletter: { user: /^\d{5,24}$/, address: (id) => ({ jid: `${id}@newsletter` }) },
  broadcast: { user: /^status$/, address: () => ({ jid: 'status@broadcast' }) },
}

/**
 * Takes `+49 170 1234567`, `491701234567`, `…@s.whatsapp.net`, `…@c.us`, `…@lid`, `…@g.us`, `…@newsletter` and
 * `status@broadcast`. Digits are never changed: whether a number exists (with or without Brazil's ninth digit, say)
 * is WhatsApp's to answer. Throws `invalid_recipient`, saying what is wrong; `field` is where it stood.
 */
export function parseRecipient(text: string, field = 'to'): Address {
  const given = text.trim()
  const at = given.lastIndexOf('@')
  if (at >= 0) return parseJid(given.slice(0, at), given.slice(at + 1).toLowerCase(), field)
  const digits = given.replace(/^\+/, '').replace(/[\s().\u2010-\u2015-]/g, '')
  if (!/^\d+$/.test(digits)) throw invalid(field, 'neither digits of a phone number nor a WhatsApp id')
  if (digits.startsWith('0')) throw invalid(field, 'a phone number begins with its country code, not with 0')
  if (digits.length < 7 || digits.length > 15) {
    throw invalid(field, `a phone number has 7 to 15 digits with its country code, not ${digits.length}`)
  }
  return person(digits)
}

function parseJid(user: string, server: string, field: string): Address {
  const form = Object.hasOwn(jidForms, server) ? jidForms[server] : undefined
  if (!form) throw invalid(field, `@${server.slice(0, 40)} is none of ${Object.keys(jidForms).join(', ')}`)
  const bare = form.user.exec(user)?.[0]
  if (!bare) throw invalid(field, `what stands before @${server} is not an id of that kind`)
  return form.address(bare)
}

function person(pn: string): Address {
  return { jid: `${pn}@s.whatsapp.net`, pn }
}

function invalid(field: string, message: string): PalomarError {
  return new PalomarError('invalid_recipient', `${field}: ${message}`, { fields: [{ field, message }] })
}
