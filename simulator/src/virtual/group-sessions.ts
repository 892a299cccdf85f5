/** Sender keys: what one device needs to read and write in groups. */
import type { proto } from '@whiskeysockets/baileys'
import {
  GroupCipher,
  GroupSessionBuilder,
  SenderKeyDistributionMessage,
  SenderKeyName,
  SenderKeyRecord,
} from '@whiskeysockets/baileys/lib/Signal/Group/index.js'

export interface GroupSessions {
  /** keeps the sender key that `author` (a canonical address) hands out in `message` */
  learn(author: string, message: proto.Message.ISenderKeyDistributionMessage): Promise<void>
  /** throws when the author's key is unknown, the signature is wrong, or the message repeats */
  decrypt(group: string, author: string, body: Uint8Array): Promise<Uint8Array>
  /** the distribution message of our key as it stands: it opens what is encrypted after this call */
  ownKey(group: string): Promise<Uint8Array>
  encrypt(group: string, plaintext: Uint8Array): Promise<Uint8Array>
  /** whether the device behind `peer` was given our key of this group; asking counts as giving */
  giveKey(group: string, peer: string): boolean
  /** forgets everybody's keys, and to whom ours were given */
  loseKeys(): void
}

/** Sender keys of one device, in memory; `own` is its canonical address. Calls must follow each other, not overlap. */
export function createGroupSessions(own: string): GroupSessions {
  const records = new Map<string, ReturnType<SenderKeyRecord['serialize']>>()
  const holders = new Map<string, Set<string>>()
  const store = {
    async loadSenderKey(name: SenderKeyName) {
      // A copy: a message that turns out to be forged must not move the chain on.
      const kept = records.get(name.toString())
      return new SenderKeyRecord(kept && structuredClone(kept).map(withBuffers))
    },
    async storeSenderKey(name: SenderKeyName, record: SenderKeyRecord) {
      records.set(name.toString(), record.serialize())
    },
  }

  function nameOf(group: string, author: string): SenderKeyName {
    const [id = '', device = '0'] = author.split('.')
    return new SenderKeyName(group, { id, deviceId: Number(device) })
  }

  function holdersOf(group: string): Set<string> {
    const known = holders.get(group) ?? new Set()
    holders.set(group, known)
    return known
  }

  return {
    async learn(author, message) {
      const bytes = message.axolotlSenderKeyDistributionMessage
      if (!message.groupId || !bytes) throw new Error('Sender key without group or key')
      const key = new SenderKeyDistributionMessage(null, null, null, null, bytes)
      await new GroupSessionBuilder(store).process(nameOf(message.groupId, author), key)
    },
    decrypt: (group, author, body) => new GroupCipher(store, nameOf(group, author)).decrypt(body),
    async ownKey(group) {
      return (await new GroupSessionBuilder(store).create(nameOf(group, own))).serialize()
    },
    encrypt: (group, plaintext) => new GroupCipher(store, nameOf(group, own)).encrypt(plaintext),
    giveKey(group, peer) {
      const known = holdersOf(group)
      if (known.has(peer)) return true
      known.add(peer)
      return false
    },
    loseKeys() {
      records.clear()
      holders.clear()
    },
  }
}

type State = ReturnType<SenderKeyRecord['serialize']>[number]

/** structuredClone makes plain Uint8Arrays of Buffers, and libsignal insists on Buffers. */
function withBuffers(state: State): State {
  const { senderChainKey, senderSigningKey } = state
  return {
    ...state,
    senderChainKey: { ...senderChainKey, seed: Buffer.from(senderChainKey.seed) },
    senderSigningKey: {
      public: Buffer.from(senderSigningKey.public),
      private: senderSigningKey.private && Buffer.from(senderSigningKey.private),
    },
    senderMessageKeys: state.senderMessageKeys.map((key) => ({ ...key, seed: Buffer.from(key.seed) })),
  }
}
