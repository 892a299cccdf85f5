import { stanza } from '../codec/stanza.ts'
import { LinkedDevice } from '../directory/linked-device.ts'
import type { Random } from '../faults/random.ts'
import { other, personJid } from '../jid.ts'
import { nowSeconds } from '../router/envelope.ts'
import type { Deliver } from '../router/messages.ts'
import { newId } from '../router/stanza-id.ts'
import type { Account, Addressing, Device, Stanza } from '../types.ts'
import { type Group, groupNode, memberNode, type Role } from './group.ts'

/** The groups there are, and the words that tell their members of a change. */
export class Groups {
  readonly #byJid = new Map<string, Group>()
  readonly #byAccount = new Map<Account, Set<Group>>()
  readonly #random: Random
  readonly #deliver: Deliver

  constructor(random: Random, deliver: Deliver) {
    this.#random = random
    this.#deliver = deliver
  }

  find(jid: string | undefined): Group | undefined {
    return this.#byJid.get(jid ?? '')
  }

  /** The group of an invite. */
  byInvite(code: string | undefined): Group | undefined {
    for (const group of this.#byJid.values()) if (group.inviteCode === code) return group
    return undefined
  }

  of(account: Account): Iterable<Group> {
    return this.#byAccount.get(account) ?? []
  }

  create(subject: string, creator: Account, members: Account[], addressing: Addressing): Group {
    const digits = Math.floor(this.#random() * 1e15)
    const group: Group = {
      jid: `1203${String(digits).padStart(15, '0')}@g.us`,
      addressing,
      creator,
      created: Math.floor(Date.now() / 1000),
      members: new Map(),
      inviteCode: digits.toString(36).padStart(22, 'A'),
      subject,
      settings: new Map(),
    }
    this.#byJid.set(group.jid, group)
    this.enter(group, creator, 'superadmin')
    for (const member of members) if (member !== creator) this.enter(group, member, 'member')
    return group
  }

  enter(group: Group, account: Account, role: Role): void {
    group.members.set(account, role)
    const groups = this.#byAccount.get(account)
    if (groups) groups.add(group)
    else this.#byAccount.set(account, new Set([group]))
  }

  leave(group: Group, account: Account): void {
    group.members.delete(account)
    this.#byAccount.get(account)?.delete(group)
  }

  /** Tells members, and those who have just ceased to be, what somebody did: all linked devices but the actor's own. */
  announce(group: Group, actor: Device, change: Stanza, former: Account[] = []): void {
    const mode = group.addressing
    const notice = stanza(
      'notification',
      {
        id: newId(),
        from: group.jid,
        type: 'w:gp2',
        participant: personJid(actor.account, mode),
        [mode === 'pn' ? 'participant_lid' : 'participant_pn']: personJid(actor.account, other(mode)),
        notify: actor.account.name,
        t: nowSeconds(),
      },
      [change],
    )
    for (const account of new Set([...group.members.keys(), ...former])) {
      for (const device of account.devices.values()) {
        if (device !== actor && device instanceof LinkedDevice) this.#deliver(device, notice)
      }
    }
  }

  /** A change of members as its notification shows it. */
  change(group: Group, tag: string, accounts: Account[]): Stanza {
    const members = accounts.map((account) => memberNode(group, account))
    return stanza(tag, {}, tag === 'create' ? [groupNode(group)] : members)
  }
}
