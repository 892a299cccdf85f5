/** For tests: the least server that two Signal ends need. It looks people up, hands out keys and passes stanzas on. */
import { getBinaryNodeChild, getBinaryNodeChildren } from '@whiskeysockets/baileys'
import { newKeyPair } from '../curve.ts'
import { deviceJid, parseJid, personJid } from '../jid.ts'
import type { Account, Addressing, Device, ServerPort, Stanza } from '../types.ts'

export interface MemoryServer extends ServerPort {
  account(pn: string): Account
  /** every stanza that was submitted, oldest first */
  readonly submitted: { from: Device; stanza: Stanza }[]
  readonly takenPreKeys: Map<Device, number[]>
  readonly groups: Map<string, string[]>
  /** sees each stanza before the device it is for, and may change, hold back or repeat it */
  onRoute: (to: Device, stanza: Stanza, deliver: (stanza: Stanza) => void) => void
}

export function createMemoryServer(addressing: Addressing): MemoryServer {
  const accounts: Account[] = []

  function find(jid: string): Account | undefined {
    const { user } = parseJid(jid) ?? {}
    return accounts.find(({ pn, lid }) => user === pn || user === lid)
  }

  function pass(to: Device | undefined, stanza: Stanza): void {
    if (!to) return
    server.onRoute(to, stanza, (passed) => to.deliver?.(passed))
  }

  function deviceAt(jid: string): Device | undefined {
    return find(jid)?.devices.get(parseJid(jid)?.device ?? 0)
  }

  function route(from: Device, { tag, attrs, content }: Stanza): void {
    const { to = '', participant, ...rest } = attrs
    const jid = deviceJid(from, addressing)
    if (tag !== 'message') {
      pass(deviceAt(participant ?? to), { tag, attrs: { ...rest, from: jid }, content })
      return
    }
    const isGroup = to.endsWith('@g.us')
    const encs = getBinaryNodeChildren({ tag, attrs, content }, 'enc')
    const extras = getBinaryNodeChildren({ tag, attrs, content }, 'device-identity')
    const head = { ...rest, t: '1', ...(isGroup ? { from: to, participant: jid } : { from: jid }) }
    const participants = getBinaryNodeChildren(
      getBinaryNodeChild({ tag, attrs, content }, 'participants'),
      'to',
    )
    const direct = participant ?? (isGroup ? undefined : to)
    if (!participants.length && direct) {
      pass(deviceAt(direct), { tag, attrs: head, content: [...encs, ...extras] })
      return
    }
    const targets = new Map(participants.map((node) => [deviceAt(node.attrs.jid ?? ''), node]))
    if (isGroup) {
      for (const member of server.groups.get(to) ?? []) {
        for (const device of find(member)?.devices.values() ?? []) {
          const key = getBinaryNodeChildren(targets.get(device), 'enc')
          if (device !== from) pass(device, { tag, attrs: head, content: [...key, ...encs, ...extras] })
        }
      }
      return
    }
    for (const [device, node] of targets) {
      const own: Record<string, string> = device?.account === from.account ? { recipient: to } : {}
      const enc = getBinaryNodeChildren(node, 'enc')
      pass(device, { tag, attrs: { ...head, ...own }, content: [...enc, ...extras] })
    }
  }

  const server: MemoryServer = {
    submitted: [],
    takenPreKeys: new Map(),
    groups: new Map(),
    onRoute: (_, stanza, deliver) => deliver(stanza),
    account(pn) {
      const account: Account = { pn, lid: `9${pn}`, name: pn, primary: newKeyPair(), devices: new Map() }
      accounts.push(account)
      return account
    },
    submit(from, stanza) {
      server.submitted.push({ from, stanza })
      route(from, stanza)
    },
    devicesOf: (jid) => [...(find(jid)?.devices.values() ?? [])],
    takeBundle(device) {
      const { keys } = device
      if (!keys) throw new Error(`${personJid(device.account, 'pn')} has no keys`)
      const preKey = keys.preKeys.shift()
      const taken = server.takenPreKeys.get(device) ?? []
      server.takenPreKeys.set(device, preKey ? [...taken, preKey.id] : taken)
      return { bundle: keys, preKey }
    },
    addressing: () => addressing,
    membersOf: (group) => server.groups.get(group),
  }
  return server
}
