import { stanza } from '../codec/stanza.ts'
import { other, personJid } from '../jid.ts'
import type { Account, Addressing, Stanza } from '../types.ts'

export type Role = 'superadmin' | 'admin' | 'member'

export interface Group {
  /** with its `@g.us` */
  readonly jid: string
  /** how the group names its members, for as long as it lives: their sender keys hang on it */
  readonly addressing: Addressing
  readonly creator: Account
  /** seconds */
  readonly created: number
  readonly members: Map<Account, Role>
  readonly inviteCode: string
  subject: string
  /** switches and values that clients set: announcement, locked, ephemeral… by tag */
  readonly settings: Map<string, Stanza>
}

/** A member as metadata and notifications list it: by the group's kind of JID, with the other beside it. */
export function memberNode(group: Group, account: Account): Stanza {
  const role = group.members.get(account)
  return stanza('participant', {
    jid: personJid(account, group.addressing),
    [group.addressing === 'pn' ? 'lid' : 'phone_number']: personJid(account, other(group.addressing)),
    type: role === 'member' ? undefined : role,
  })
}

/** The whole metadata. */
export function groupNode(group: Group): Stanza {
  const creator = personJid(group.creator, group.addressing)
  const attrs = {
    id: group.jid.replace('@g.us', ''),
    subject: group.subject,
    creation: String(group.created),
    creator,
    s_t: String(group.created),
    s_o: creator,
    addressing_mode: group.addressing,
    size: String(group.members.size),
  }
  const members = Array.from(group.members.keys(), (account) => memberNode(group, account))
  return stanza('group', attrs, [...group.settings.values(), ...members])
}
