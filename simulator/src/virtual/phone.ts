import type { Account, ServerPort } from '../types.ts'
import {
  appStateKeyShare,
  historyBootstrap,
  newAppStateKey,
  type PastConversation,
} from './phone-messages.ts'
import { createVirtualDevice, type VirtualDevice, type VirtualDeviceOptions } from './virtual-device.ts'

export interface Welcome {
  conversations?: PastConversation[]
  /** people whose phone number and LID the companion learns to be one; itself and the conversations' always are */
  known?: Account[]
}

/** A primary phone. What its owner sends (`send`, to a bare JID) reaches the linked devices as own messages. */
export interface Phone extends VirtualDevice {
  /**
   * Gives a companion that has just logged in for the first time the app state key and its first history, as peer
   * messages. Without it a client waits 20 s. Resolves when the server has both; rejects when there is no such device.
   */
  welcome(companion: number, welcome?: Welcome): Promise<void>
}

/** Puts device 0 of the account into service. */
export function createPhone(port: ServerPort, account: Account, options: VirtualDeviceOptions = {}): Phone {
  const device = createVirtualDevice(port, account, 0, options)
  const appStateKey = newAppStateKey()
  return {
    ...device,
    async welcome(companion, { conversations = [], known = [] } = {}) {
      const people = new Set([account, ...conversations.map((past) => past.with), ...known])
      const history = await historyBootstrap(conversations, [...people], port.addressing())
      await device.sendPeer(companion, appStateKeyShare(appStateKey))
      await device.sendPeer(companion, history)
    },
  }
}
