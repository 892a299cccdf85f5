/** `w:g2`: what clients ask of groups. */
import { bytes, child, children, stanza } from '../codec/stanza.ts'
import type { IqAnswer } from '../connection/iq.ts'
import type { Directory } from '../directory/directory.ts'
import { personJid } from '../jid.ts'
import type { Account, Addressing, Device, Stanza } from '../types.ts'
import { type Group, groupNode } from './group.ts'
import type { Groups } from './groups.ts'

const NOT_FOUND: IqAnswer = { error: { code: 404, text: 'item-not-found' } }
const FORBIDDEN: IqAnswer = { error: { code: 403, text: 'forbidden' } }
const MEMBER_CHANGES = new Set(['add', 'remove', 'promote', 'demote'])
/** a setting, and the one that it ends */
const OPPOSITES: Record<string, string> = {
  announcement: 'not_announcement',
  not_announcement: 'announcement',
  locked: 'unlocked',
  unlocked: 'locked',
  ephemeral: 'not_ephemeral',
  not_ephemeral: 'ephemeral',
}
const ENDINGS = new Set(['not_announcement', 'unlocked', 'not_ephemeral'])

export class GroupRequests {
  readonly #groups: Groups
  readonly #directory: Directory
  readonly #addressing: () => Addressing

  constructor(groups: Groups, directory: Directory, addressing: () => Addressing) {
    this.#groups = groups
    this.#directory = directory
    this.#addressing = addressing
  }

  answer(device: Device, iq: Stanza): IqAnswer {
    const [request] = children(iq)
    if (!request) return NOT_FOUND
    if (iq.attrs.to === '@g.us') return this.#general(device, iq, request)
    const group = this.#groups.find(iq.attrs.to)
    if (!group) return NOT_FOUND
    const role = group.members.get(device.account)
    if (!role) return FORBIDDEN
    if (request.tag === 'query') return { content: [groupNode(group)] }
    if (request.tag === 'invite') return { content: [stanza('invite', { code: group.inviteCode })] }
    if (iq.attrs.type !== 'set') return {}
    if (role === 'member' && (MEMBER_CHANGES.has(request.tag) || request.tag in OPPOSITES)) return FORBIDDEN
    if (MEMBER_CHANGES.has(request.tag)) return this.#changeMembers(device, group, request)
    return this.#changeSetting(device, group, request)
  }

  /** Requests that name no group, or name it inside. */
  #general(device: Device, iq: Stanza, request: Stanza): IqAnswer {
    const { account } = device
    switch (request.tag) {
      case 'participating':
        return { content: [stanza('groups', {}, Array.from(this.#groups.of(account), groupNode))] }
      case 'create': {
        const members = this.#accounts(request)
        const group = this.#groups.create(request.attrs.subject ?? '', account, members, this.#addressing())
        this.#groups.announce(group, device, this.#groups.change(group, 'create', members))
        return { content: [groupNode(group)] }
      }
      case 'leave':
        return this.#leave(device, child(request, 'group')?.attrs.id)
      case 'invite': {
        const group = this.#groups.byInvite(request.attrs.code)
        if (!group) return NOT_FOUND
        if (iq.attrs.type === 'get') return { content: [groupNode(group)] }
        this.#groups.enter(group, account, 'member')
        this.#groups.announce(group, device, this.#groups.change(group, 'add', [account]))
        return { content: [stanza('group', { jid: group.jid })] }
      }
      default:
        return {}
    }
  }

  #leave(device: Device, jid: string | undefined): IqAnswer {
    const group = this.#groups.find(jid)
    if (!group?.members.has(device.account)) return NOT_FOUND
    const change = this.#groups.change(group, 'remove', [device.account])
    this.#groups.leave(group, device.account)
    this.#groups.announce(group, device, change, [device.account])
    return { content: [stanza('leave', {}, [stanza('group', { id: group.jid })])] }
  }

  #changeMembers(device: Device, group: Group, request: Stanza): IqAnswer {
    const { tag } = request
    const done: Account[] = []
    const answers = children(request).map(({ attrs: { jid } }) => {
      const account = this.#directory.find(jid)
      const error = account ? refusal(group, tag, account) : '404'
      if (account && !error) done.push(account)
      return stanza('participant', { jid: account ? personJid(account, group.addressing) : jid, error })
    })
    // those who are removed are named as the members that they still are
    const removal = tag === 'remove' ? this.#groups.change(group, tag, done) : undefined
    for (const account of done) {
      if (tag === 'remove') this.#groups.leave(group, account)
      else this.#groups.enter(group, account, tag === 'promote' ? 'admin' : 'member')
    }
    if (done.length > 0) {
      this.#groups.announce(
        group,
        device,
        removal ?? this.#groups.change(group, tag, done),
        removal ? done : [],
      )
    }
    return { content: [stanza(tag, {}, answers)] }
  }

  #changeSetting(device: Device, group: Group, request: Stanza): IqAnswer {
    const { tag, attrs, content } = request
    if (tag === 'subject') {
      group.subject = bytes(request)?.toString() ?? ''
      this.#groups.announce(group, device, stanza('subject', { subject: group.subject }))
      return {}
    }
    const opposite = OPPOSITES[tag]
    if (opposite) group.settings.delete(opposite)
    if (!ENDINGS.has(tag)) group.settings.set(tag, stanza(tag, attrs, content))
    this.#groups.announce(group, device, request)
    return {}
  }

  #accounts(request: Stanza): Account[] {
    return children(request).flatMap(({ attrs: { jid } }) => this.#directory.find(jid) ?? [])
  }
}

function refusal(group: Group, change: string, account: Account): string | undefined {
  const member = group.members.has(account)
  if (change === 'add') return member ? '409' : undefined
  return member ? undefined : '404'
}
