/**
 * The simulator's shared shapes.
 *
 *  account   a WhatsApp number: a phone number (pn), a LID, a push name, a primary identity
 *  device    one endpoint of an account: 0 is the phone, 1… are linked (Baileys) clients
 *  virtual   a device whose Signal side lives in this process: every phone, every contact
 *  stanza    a binary node as Baileys codes it
 */
import type { BinaryNode } from '@whiskeysockets/baileys'

export type Stanza = BinaryNode

/** How messages name people: by phone number or by LID. WhatsApp is moving from the first to the second. */
export type Addressing = 'pn' | 'lid'

/** Public half of a device's Signal keys, as it uploaded them. Raw 32-byte keys, no 0x05 prefix. */
export interface KeyBundle {
  registrationId: number
  identity: Buffer
  signedPreKey: { id: number; publicKey: Buffer; signature: Buffer }
  /** one-time prekeys, handed out first in, first out, each once */
  preKeys: { id: number; publicKey: Buffer }[]
}

export interface Account {
  /** digits only, no plus */
  readonly pn: string
  /** digits of the LID user part */
  readonly lid: string
  name: string
  /** the primary identity key pair: signs linked devices' ADV identities; device 0's Signal identity */
  readonly primary: { publicKey: Buffer; privateKey: Buffer }
  readonly devices: Map<number, Device>
}

export interface Device {
  readonly account: Account
  readonly id: number
  keys: KeyBundle | undefined
  /** ADVSignedDeviceIdentity (encoded, accountSignatureKey included) for linked devices; undefined for device 0 */
  deviceIdentity: Buffer | undefined
  /** takes a stanza that the router addressed to this device; a device that is offline has it queued by the router instead */
  deliver: ((stanza: Stanza) => void) | undefined
}

/** What a virtual device needs of the server. The router and the directory implement it. */
export interface ServerPort {
  /** same as a client writing this stanza on its socket: encrypts nothing, checks nothing about Signal */
  submit(from: Device, stanza: Stanza): void
  /** every device of the person behind a bare or device JID (pn or lid) */
  devicesOf(jid: string): Device[]
  /** consumes a one-time prekey, as a key fetch does */
  takeBundle(device: Device): { bundle: KeyBundle; preKey?: { id: number; publicKey: Buffer } }
  addressing(): Addressing
  /** bare or device JIDs of a group's members; undefined when there is no such group */
  membersOf(group: string): string[] | undefined
}
