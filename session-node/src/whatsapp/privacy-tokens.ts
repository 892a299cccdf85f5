/**
 * Which contacts were given a privacy token. Baileys issues one after a message, once a contact and week, and notes
 * that in the context of the message's transaction, which is over by then: the note is never stored, and every message
 * asks WhatsApp once more. Tokens have no part in a ratchet, so here they pass transactions by.
 */
import type { SignalKeyStore } from '@whiskeysockets/baileys'

/**
 * @param keys the store with transactions that Baileys put before ours; changed in place
 * @param store the store behind it
 */
export const keepPrivacyTokens = (
  keys: Pick<SignalKeyStore, 'get' | 'set'>,
  store: Pick<SignalKeyStore, 'get' | 'set'>,
): void => {
  const { get, set } = keys
  keys.get = async (type, ids) => (type === 'tctoken' ? store : { get }).get(type, ids)
  keys.set = async ({ tctoken, ...others }) => {
    if (tctoken) await store.set({ tctoken })
    if (Object.keys(others).length > 0) await set(others)
  }
}
