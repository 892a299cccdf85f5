/**
 * libsignal tries a message on every session of a record and lets each try change the session before it knows whether
 * it fits. When an older session fits in the end, the newest one is stored with a ratchet that has turned for nothing,
 * and no later message of it can be read. That happens in every new conversation in which both sides write at once,
 * since Baileys starts a second session when it learns the LID. Here each try has its own copy.
 *
 * It never forgets a receiving chain either: a long conversation makes its record, which is stored with every message,
 * larger and larger.
 */
import { SessionCipher } from 'libsignal'

interface Chain {
  chainType: number
}

export interface SessionEntry {
  indexInfo: { used: number }
  pendingPreKey?: object
  _chains: Record<string, Chain>
  serialize(): object
  constructor: { deserialize(data: object): SessionEntry }
}

export interface CipherInternals {
  decryptWithSessions(
    data: Buffer,
    sessions: SessionEntry[],
  ): Promise<{ session: SessionEntry; plaintext: Buffer }>
  doDecryptWhisperMessage(data: Buffer, session: SessionEntry): Promise<Buffer>
}

const RECEIVING = 2
/** Signal's own libraries keep five; late messages of older chains ask for a retry */
const RECEIVING_CHAINS = 10

/** Replaces the method for the whole process; throws when libsignal is no longer the one that it was written for. */
export const makeSessionsCareful = (): void => {
  const cipher = SessionCipher.prototype as unknown as CipherInternals
  if (!cipher.decryptWithSessions || !cipher.doDecryptWhisperMessage) throw new Error('libsignal has changed')
  cipher.decryptWithSessions = async function (data, sessions) {
    for (const session of sessions) {
      const attempt = session.constructor.deserialize(session.serialize())
      try {
        const plaintext = await this.doDecryptWhisperMessage(data, attempt)
        adopt(session, attempt)
        return { session, plaintext }
      } catch {
        // not of this session: the next may fit
      }
    }
    throw new Error('No matching sessions found for message')
  }
}

const adopt = (session: SessionEntry, attempt: SessionEntry): void => {
  Object.assign(session, attempt)
  if (!attempt.pendingPreKey) delete session.pendingPreKey
  session.indexInfo.used = Date.now()
  const receiving = Object.keys(session._chains).filter((id) => session._chains[id]?.chainType === RECEIVING)
  for (const id of receiving.slice(0, -RECEIVING_CHAINS)) delete session._chains[id]
}
