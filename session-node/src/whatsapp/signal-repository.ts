import {
  type BinaryNode,
  cleanMessage,
  DEFAULT_CONNECTION_CONFIG,
  decodeMessageNode,
  type SignalAuthState,
  type SignalKeyStoreWithTransaction,
  type SignalRepositoryWithLIDStore,
  type SocketConfig,
  type WAMessageKey,
} from '@whiskeysockets/baileys'
import type { InboxEntry } from '../../contract/index.ts'
import { hashOf, INBOX_TYPE, type Inbox } from './inbox.ts'
import { Lock } from './lock.ts'

type Stanza = InboxEntry['stanza']
interface Me {
  id: string
  lid?: string
}

/** which stanza an encrypted part came in: Baileys hands the repository the very same buffer */
export class StanzaIndex {
  readonly #stanzas = new WeakMap<Uint8Array, Stanza>()

  add(node: BinaryNode): void {
    if (!Array.isArray(node.content)) return
    for (const part of node.content) {
      if (part.tag === 'enc' && part.content instanceof Uint8Array) {
        this.#stanzas.set(part.content, { attrs: node.attrs, enc_type: part.attrs.type ?? '' })
      }
    }
  }

  of(ciphertext: Uint8Array): Stanza | undefined {
    return this.#stanzas.get(ciphertext)
  }
}

/** the message as Baileys will name it in its event */
export const messageOf = (stanza: Stanza, me: Me) => {
  const { fullMessage } = decodeMessageNode(
    { tag: 'message', attrs: stanza.attrs, content: [] },
    me.id,
    me.lid ?? '',
  )
  cleanMessage(fullMessage, me.id, me.lid ?? '')
  return fullMessage
}

export const messageKeyOf = (key: WAMessageKey): string =>
  `${key.remoteJid ?? ''}|${key.participant ?? ''}|${key.fromMe ? 1 : 0}|${key.id ?? ''}`

/**
 * Baileys' Signal layer, so changed that
 * - a decryption and its plaintext's inbox record are one write, and a ciphertext seen before is not decrypted again;
 * - whatever touches a session or a sender key holds the one lock that sending holds. Baileys uses several, and
 *   libsignal runs queued jobs in the async context of the job before, so that ratchet steps get lost between them.
 */
export const guardSignalRepository = (
  inbox: Inbox,
  stanzas: StanzaIndex,
): SocketConfig['makeSignalRepository'] => {
  const lock = new Lock()
  return (auth, logger, pnToLid) => {
    const repository = DEFAULT_CONNECTION_CONFIG.makeSignalRepository(auth, logger, pnToLid)
    const keys = auth.keys as SignalKeyStoreWithTransaction
    const me = (): Me => {
      const { me } = auth.creds as SignalAuthState['creds'] & { me?: Me }
      if (!me) throw new Error('Signal sessions need an account')
      return me
    }
    outliveSocket(keys, () => me().id, lock)
    const locked = <T>(work: () => Promise<T>) => keys.transaction(work, me().id)

    const once = async (ciphertext: Uint8Array, decrypt: () => Promise<Uint8Array>): Promise<Uint8Array> => {
      const hash = hashOf(ciphertext)
      const stanza = stanzas.of(ciphertext)
      const stored = (await keys.get(INBOX_TYPE as never, [hash])) as Record<string, Uint8Array>
      const plaintext = stored[hash] ?? (await decrypt())
      if (!stored[hash]) {
        const record: InboxEntry = {
          hash,
          plaintext: Buffer.from(plaintext).toString('base64'),
          stanza: stanza ?? { attrs: {}, enc_type: '' },
        }
        await keys.set({ [INBOX_TYPE]: { [hash]: record } } as never)
      }
      if (stanza) inbox.open(messageKeyOf(messageOf(stanza, me()).key), hash)
      return plaintext
    }

    const guarded: Partial<SignalRepositoryWithLIDStore> = {
      decryptMessage: (options) =>
        locked(() => once(options.ciphertext, () => repository.decryptMessage(options))),
      decryptGroupMessage: (options) =>
        locked(() => once(options.msg, () => repository.decryptGroupMessage(options))),
      processSenderKeyDistributionMessage: (options) =>
        locked(() => repository.processSenderKeyDistributionMessage(options)),
      encryptMessage: (options) => locked(() => repository.encryptMessage(options)),
      encryptGroupMessage: (options) => locked(() => repository.encryptGroupMessage(options)),
      getSenderKeyDistributionMessage: (options) =>
        locked(() => repository.getSenderKeyDistributionMessage(options)),
      injectE2ESession: (options) => locked(() => repository.injectE2ESession(options)),
      migrateSession: (from, to) => locked(() => repository.migrateSession(from, to)),
      deleteSession: (jids) => locked(() => repository.deleteSession(jids)),
    }
    return Object.assign(Object.create(repository), guarded)
  }
}

/**
 * Baileys' locks are each socket's own, but the keys are not: what a closed socket still has in hand must not run
 * beside its successor.
 */
const outliveSocket = (keys: SignalKeyStoreWithTransaction, sendingLock: () => string, lock: Lock): void => {
  const transaction = keys.transaction.bind(keys)
  keys.transaction = (work, key) =>
    keys.isInTransaction() || key !== sendingLock()
      ? transaction(work, key)
      : lock.run(() => transaction(work, key))
}
