import { proto } from '@whiskeysockets/baileys'
import { expect, test } from 'vitest'
import { verify } from '../curve.ts'
import { newServerIdentity } from './certificate.ts'

test('the chain leads from the root to the server key', () => {
  const { chain, rootKey, staticKey } = newServerIdentity()
  const { leaf, intermediate } = proto.CertChain.decode(chain)
  const details = (encoded: Uint8Array) => proto.CertChain.NoiseCertificate.Details.decode(encoded)
  if (!leaf?.details || !leaf.signature || !intermediate?.details || !intermediate.signature)
    throw new Error('parts')
  expect(verify(rootKey, intermediate.details, intermediate.signature)).toBe(true)
  expect(verify(details(intermediate.details).key ?? rootKey, leaf.details, leaf.signature)).toBe(true)
  expect(verify(rootKey, leaf.details, leaf.signature)).toBe(false)
  expect(Buffer.from(details(leaf.details).key ?? [])).toEqual(staticKey.publicKey)
  expect(details(intermediate.details).issuerSerial).toBe(0)
})
