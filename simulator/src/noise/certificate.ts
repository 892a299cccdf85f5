import { proto } from '@whiskeysockets/baileys'
import { type KeyPair, newKeyPair, sign } from '../curve.ts'

const YEAR_SECONDS = 365 * 24 * 3600
const ROOT_SERIAL = 0
const INTERMEDIATE_SERIAL = 1

export interface ServerIdentity {
  /** the server's static Noise key; the leaf certificate is about it */
  readonly staticKey: KeyPair
  /** encoded CertChain: intermediate signed by the root, leaf signed by the intermediate */
  readonly chain: Uint8Array
  /** raw 32-byte public key of the root, for WA_CERT_DETAILS.PUBLIC_KEY */
  readonly rootKey: Buffer
}

interface Link {
  serial: number
  issuerSerial: number
  key: Buffer
}

function certify(link: Link, issuer: KeyPair) {
  const now = Math.floor(Date.now() / 1000)
  const details = proto.CertChain.NoiseCertificate.Details.encode({
    ...link,
    notBefore: now - YEAR_SECONDS,
    notAfter: now + YEAR_SECONDS,
  }).finish()
  return { details, signature: sign(issuer.privateKey, details) }
}

/** A fresh root, intermediate and server key, with a chain that verifies. */
export function newServerIdentity(): ServerIdentity {
  const root = newKeyPair()
  const intermediate = newKeyPair()
  const staticKey = newKeyPair()
  const chain = proto.CertChain.encode({
    intermediate: certify(
      { serial: INTERMEDIATE_SERIAL, issuerSerial: ROOT_SERIAL, key: intermediate.publicKey },
      root,
    ),
    leaf: certify({ serial: 2, issuerSerial: INTERMEDIATE_SERIAL, key: staticKey.publicKey }, intermediate),
  }).finish()
  return { staticKey, chain, rootKey: root.publicKey }
}
