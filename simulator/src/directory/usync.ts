import { bytes, child, children, stanza } from '../codec/stanza.ts'
import type { Account, Stanza } from '../types.ts'
import type { Directory } from './directory.ts'
import { LinkedDevice } from './linked-device.ts'

/** Answers a `usync` query: devices, lid and contact, for every user asked. */
export function answerUsync(directory: Directory, asker: Account, usync: Stanza, watch: Watch): Stanza {
  const protocols = children(child(usync, 'query')).map((each) => each.tag)
  const users = children(child(usync, 'list')).map((user) => {
    const phone = bytes(child(user, 'contact'))?.toString().replace(/\D/g, '')
    const jid = user.attrs.jid ?? (phone ? `${phone}@s.whatsapp.net` : undefined)
    const account = directory.find(jid)
    if (account) watch(account, asker)
    const answers = protocols.flatMap((protocol) => answer(protocol, account))
    return stanza('user', { jid }, answers)
  })
  return stanza('usync', usync.attrs, [stanza('list', {}, users)])
}

/** Told of everybody an account asked about, so that it hears when their devices change. */
export type Watch = (subject: Account, watcher: Account) => void

function answer(protocol: string, account: Account | undefined): Stanza[] {
  switch (protocol) {
    case 'contact':
      return [stanza('contact', { type: account ? 'in' : 'out' })]
    case 'lid':
      return account ? [stanza('lid', { val: `${account.lid}@lid` })] : []
    case 'devices':
      return account ? [devices(account)] : []
    default:
      return []
  }
}

function devices(account: Account): Stanza {
  const list: Stanza[] = []
  for (const device of account.devices.values()) {
    // a phone that nobody animates has no keys, and nobody could encrypt for it
    if (!device.keys) continue
    const keyIndex = device instanceof LinkedDevice ? device.keyIndex : device.id || undefined
    list.push(stanza('device', { id: String(device.id), 'key-index': keyIndex?.toString() }))
  }
  return stanza('devices', {}, [
    stanza('device-list', {}, list),
    stanza('key-index-list', { ts: String(Math.floor(Date.now() / 1000)) }),
  ])
}
