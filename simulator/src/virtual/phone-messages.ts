/** What a phone tells a newly linked companion, as protocol messages. */
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { deflate } from 'node:zlib'
import { proto } from '@whiskeysockets/baileys'
import { personJid } from '../jid.ts'
import type { Account, Addressing } from '../types.ts'

const deflated = promisify(deflate)

export interface PastConversation {
  with: Account
  /** oldest first; `at` in ms since the epoch */
  messages: { id: string; text: string; fromMe: boolean; at: number }[]
  unread?: number
}

/** The first history sync, small enough to travel inside its notification. */
export async function historyBootstrap(
  conversations: PastConversation[],
  known: Account[],
  addressing: Addressing,
): Promise<proto.IMessage> {
  const { INITIAL_BOOTSTRAP } = proto.HistorySync.HistorySyncType
  const history = proto.HistorySync.encode({
    syncType: INITIAL_BOOTSTRAP,
    chunkOrder: 1,
    progress: 100,
    conversations: conversations.map((each) => conversation(each, addressing)),
    phoneNumberToLidMappings: known.map((account) => ({
      pnJid: personJid(account, 'pn'),
      lidJid: personJid(account, 'lid'),
    })),
  }).finish()
  return {
    protocolMessage: {
      type: proto.Message.ProtocolMessage.Type.HISTORY_SYNC_NOTIFICATION,
      historySyncNotification: {
        syncType: proto.Message.HistorySyncType.INITIAL_BOOTSTRAP,
        chunkOrder: 1,
        progress: 100,
        initialHistBootstrapInlinePayload: await deflated(history),
      },
    },
  }
}

function conversation(past: PastConversation, addressing: Addressing): proto.IConversation {
  const remoteJid = personJid(past.with, addressing)
  const newestFirst = [...past.messages].reverse()
  return {
    id: remoteJid,
    pnJid: personJid(past.with, 'pn'),
    lidJid: personJid(past.with, 'lid'),
    name: past.with.name,
    unreadCount: past.unread ?? 0,
    conversationTimestamp: seconds(newestFirst[0]?.at ?? 0),
    messages: newestFirst.map(({ id, text, fromMe, at }) => ({
      message: {
        key: { remoteJid, fromMe, id },
        message: { conversation: text },
        messageTimestamp: seconds(at),
        status: fromMe ? proto.WebMessageInfo.Status.READ : proto.WebMessageInfo.Status.DELIVERY_ACK,
      },
    })),
  }
}

function seconds(at: number): number {
  return Math.floor(at / 1000)
}

export type AppStateKey = proto.Message.IAppStateSyncKey

/** A key under which an account's devices encrypt their app state. */
export function newAppStateKey(): AppStateKey {
  // Two zero bytes of device id and four of the key's epoch, which counts from 1.
  const keyId = Buffer.from([0, 0, 0, 0, 0, 1])
  return {
    keyId: { keyId },
    keyData: {
      keyData: randomBytes(32),
      fingerprint: { rawId: 1, currentIndex: 1, deviceIndexes: [0, 1] },
      timestamp: Date.now(),
    },
  }
}

export function appStateKeyShare(key: AppStateKey): proto.IMessage {
  return {
    protocolMessage: {
      type: proto.Message.ProtocolMessage.Type.APP_STATE_SYNC_KEY_SHARE,
      appStateSyncKeyShare: { keys: [key] },
    },
  }
}
