import { proto } from '@whiskeysockets/baileys'
import { bytes, child, children, stanza } from '../codec/stanza.ts'
import { LinkedDevice } from '../directory/linked-device.ts'
import type { Router } from '../router/router.ts'
import type { Account, Stanza } from '../types.ts'
import type { IqAnswer } from './iq.ts'

/** Each account's collections of settings: sealed patches, of which the server knows only the order. */
export class AppState {
  readonly #router: Router
  readonly #patches = new Map<Account, Map<string, Uint8Array[]>>()

  constructor(router: Router) {
    this.#router = router
  }

  /** Takes a patch, or gives those that the client lacks; names every collection, or the client asks for ever. */
  answer(device: LinkedDevice, iq: Stanza): IqAnswer {
    const collections: Stanza[] = []
    for (const asked of children(child(iq, 'sync'))) {
      const answer = this.#collection(device, asked)
      if (!answer) return { error: { code: 409, text: 'conflict' } }
      collections.push(answer)
    }
    return { content: [stanza('sync', {}, collections)] }
  }

  #collection(device: LinkedDevice, asked: Stanza): Stanza | undefined {
    const { name = '', version = '0' } = asked.attrs
    const patches = this.#of(device.account, name)
    const patch = bytes(child(asked, 'patch'))
    if (!patch) {
      const missing = patches.slice(Number(version)).map((each) => stanza('patch', {}, each))
      return stanza(
        'collection',
        { name, version },
        missing.length > 0 ? [stanza('patches', {}, missing)] : undefined,
      )
    }
    if (Number(version) !== patches.length) return undefined
    const decoded = proto.SyncdPatch.decode(patch)
    decoded.version = { version: patches.length + 1 }
    patches.push(proto.SyncdPatch.encode(decoded).finish())
    const changed = stanza('collection', { name, version: String(patches.length) })
    for (const each of device.account.devices.values()) {
      if (each !== device && each instanceof LinkedDevice) this.#router.notify(each, 'server_sync', [changed])
    }
    return changed
  }

  #of(account: Account, name: string): Uint8Array[] {
    const collections = this.#patches.get(account) ?? new Map<string, Uint8Array[]>()
    this.#patches.set(account, collections)
    const patches = collections.get(name) ?? []
    collections.set(name, patches)
    return patches
  }
}
