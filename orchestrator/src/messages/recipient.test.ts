import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PalomarError } from '../errors.ts'
import { parseRecipient } from './recipient.ts'

const person = { jid: '5511987654321@s.whatsapp.net', pn: '5511987654321' }

test.each([
  ['5511987654321', person],
  ['+5511987654321', person],
  [' +55 (11) 98765-4321 ', person],
  ['55.11.98765.4321', person],
  ['+55 11 98765‑4321', person],
  ['5511987654321@s.whatsapp.net', person],
  ['5511987654321@c.us', person],
  ['5511987654321:12@s.whatsapp.net', person],
  ['5511987654321@C.US', person],
  ['98765432109876@lid', { jid: '98765432109876@lid', lid: '98765432109876' }],
  ['120363041234567890@g.us', { jid: '120363041234567890@g.us' }],
  ['5511987654321-1600000000@g.us', { jid: '5511987654321-1600000000@g.us' }],
  ['120363041234567890@newsletter', { jid: '120363041234567890@newsletter' }],
  ['status@broadcast', { jid: 'status@broadcast' }],
])('%s', (text, address) => {
  expect(parseRecipient(text)).toEqual(address)
})

test('Brazil’s ninth digit is left as it was given', () => {
  expect(parseRecipient('+55 11 8765-4321').pn).toBe('551187654321')
  expect(parseRecipient('+55 11 98765-4321').pn).toBe('5511987654321')
})

test.each([
  ['', /neither/],
  ['Ada', /neither/],
  ['+49+170123456', /neither/],
  ['0170 1234567', /country code/],
  ['123456', /7 to 15 digits/],
  ['1234567890123456', /7 to 15 digits/],
  ['1234567@example.org', /none of/],
  ['1234567@constructor', /none of/],
  ['ada@s.whatsapp.net', /not an id/],
  ['5511987654321:@c.us', /not an id/],
  ['other@broadcast', /not an id/],
  ['@g.us', /not an id/],
])('refuses %j and says why', (text, why) => {
  const failure = fails(text)
  expect(failure).toMatchObject({ code: 'invalid_recipient', message: expect.stringMatching(why) })
  expect(failure.fields).toMatchObject([{ field: 'to' }])
})

test('any text is an address or a coded error, and an address is taken back as itself', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[\d+@ ():a-z.-]{0,20}$/)), (text) => {
      try {
        const address = parseRecipient(text)
        expect(parseRecipient(address.jid)).toEqual(address)
      } catch (error) {
        expect(error).toBeInstanceOf(PalomarError)
      }
    }),
  )
})

function fails(text: string): PalomarError {
  try {
    parseRecipient(text)
  } catch (error) {
    if (error instanceof PalomarError) return error
  }
  throw new Error(`${text} was taken`)
}
