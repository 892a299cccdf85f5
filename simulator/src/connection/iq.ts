import { child, children, stanza } from '../codec/stanza.ts'
import { bundleNodes, digestNode, readSignedPreKey, readUpload } from '../directory/key-bundle.ts'
import type { LinkedDevice } from '../directory/linked-device.ts'
import { answerUsync } from '../directory/usync.ts'
import type { Stanza } from '../types.ts'
import type { Server } from './server.ts'

export interface IqAnswer {
  content?: Stanza[]
  error?: { code: number; text: string }
}

type Handler = (server: Server, device: LinkedDevice, iq: Stanza) => IqAnswer | 'logout'

const REFUSED: IqAnswer = { error: { code: 406, text: 'not-acceptable' } }

/** By namespace. What is missing here gets a bare result, which every client takes. */
const HANDLERS: Record<string, Handler> = {
  encrypt,
  usync: (server, device, iq) => {
    const query = child(iq, 'usync')
    if (!query) return REFUSED
    return { content: [answerUsync(server.directory, device.account, query, server.router.watch)] }
  },
  privacy: (_server, _device, iq) => (iq.attrs.type === 'get' ? { content: [PRIVACY] } : {}),
  blocklist: () => ({ content: [stanza('list')] }),
  abt: () => ({ content: [stanza('props', { version: '1', refresh: '86400' })] }),
  md: (_server, _device, iq) => (child(iq, 'remove-companion-device') ? 'logout' : {}),
  'w:profile:picture': () => ({ error: { code: 404, text: 'item-not-found' } }),
  'w:m': () => ({
    content: [stanza('media_conn', { auth: 'simulator', ttl: '300', auth_ttl: '21600', max_buckets: '12' })],
  }),
  'w:sync:app:state': (server, device, iq) => server.appState.answer(device, iq),
  'w:g2': (server, device, iq) => server.groups.answer(device, iq),
}

const PRIVACY = stanza(
  'privacy',
  {},
  ['readreceipts', 'last', 'online', 'profile', 'status', 'groupadd', 'calladd'].map((name) =>
    stanza('category', { name, value: 'all' }),
  ),
)

export const answerIq: Handler = (server, device, iq) =>
  HANDLERS[iq.attrs.xmlns ?? '']?.(server, device, iq) ?? {}

function encrypt(server: Server, device: LinkedDevice, iq: Stanza): IqAnswer {
  const [request] = children(iq)
  if (iq.attrs.type === 'set') {
    if (request?.tag === 'rotate') {
      const key = readSignedPreKey(child(request, 'skey'))
      return key && server.preKeys.rotate(device, key) ? {} : REFUSED
    }
    const upload = readUpload(iq)
    return upload && server.preKeys.upload(device, upload) ? {} : REFUSED
  }
  switch (request?.tag) {
    case 'count':
      return { content: [stanza('count', { value: String(device.keys.preKeys.length) })] }
    case 'digest':
      return { content: [digestNode(device.keys)] }
    case 'key':
      return {
        content: [
          stanza(
            'list',
            {},
            children(request).flatMap((user) => fetchKeys(server, user)),
          ),
        ],
      }
    default:
      return REFUSED
  }
}

/** A device without keys is left out: an error for one user would void the client's whole fetch. */
function fetchKeys(server: Server, { attrs: { jid } }: Stanza): Stanza[] {
  const device = server.directory.device(jid)
  if (!device?.keys) return []
  const { bundle, preKey } = server.preKeys.take(device)
  return [stanza('user', { jid }, bundleNodes(device, bundle, preKey))]
}
