/**
 * One message in flight, by turns: raw Baileys, the synchronous API, the asynchronous one, and raw Baileys behind bare
 * HTTP. So all of them meet a machine whose speed changes from one moment to the next.
 */
import { leanClient } from './http-client.ts'
import { closedLoop } from './load.ts'
import { type Parties, post, type SendBench } from './send-parties.ts'
import { mean, median, round, summarize } from './summary.ts'

const TURNS = 10

/**
 * `sync`: from the request to its 201, after the server's ack. `async`: to the 202; from then until WhatsApp's server
 * has acknowledged it, taken from when it reaches the contact, which is a little later; and from then to the news of it
 * on the WebSocket. Milliseconds; ratios are of the middle to raw's.
 */
export async function oneByOne({ stack, sizes, signal, say, onEnd }: SendBench, parties: Parties) {
  const [account] = parties.accounts
  if (!account) throw new Error('no account')
  const { admin } = stack.simulator
  const bo = await admin.addContact({ name: 'Bo' })
  const toBo = { ...parties, contact: bo }
  await post(toBo, account, 'warm-up', 'sync')
  const bare = leanClient({ ...stack.client, url: (await parties.raw.call('listen', {})).url })
  onEnd(() => bare.close())
  const { jid: to } = parties.contact
  const turn = { inFlight: 1, count: Math.ceil(sizes.messages / TURNS) }
  const loop = { ...turn, signal }

  const raw: number[] = []
  const sync: number[] = []
  const accept: number[] = []
  const news: number[] = []
  const behindHttp: number[] = []
  const acceptedAt = new Map<string, number>()
  for (let nth = 0; nth < TURNS; nth++) {
    raw.push(...(await parties.raw.call('send', { ...turn, clients: [0], to })).times)
    sync.push(...(await closedLoop(loop, (n) => post(parties, account, `sync ${n}`, 'sync'))).times)
    await closedLoop(loop, async (n) => {
      const text = `async ${nth}.${n}`
      const acked = parties.acks.reaches(parties.acks.count + 1)
      const began = performance.now()
      await post(toBo, account, text, 'async')
      const accepted = performance.now()
      acceptedAt.set(text, performance.timeOrigin + accepted)
      await acked
      accept.push(accepted - began)
      news.push(performance.now() - accepted)
    })
    const text = 'over HTTP'
    behindHttp.push(...(await closedLoop(loop, () => bare.post('/', { client: 0, to, text }, 200))).times)
  }
  const acks = (await admin.received(bo.phone)).flatMap(({ text, at }) => {
    const from = acceptedAt.get(text)
    return from === undefined ? [] : [at - from]
  })
  if (acks.length !== accept.length) throw new Error(`${acks.length} of ${accept.length} have arrived`)

  const middle = median(raw)
  const ratio = (times: number[]) => ({ ...summarize(times), p50_ratio: round(median(times) / middle, 2) })
  const report = {
    raw: summarize(raw),
    sync: ratio(sync),
    async: {
      accept: summarize(accept),
      accept_to_ack: {
        ...ratio(acks),
        mean: round(mean(acks)),
        mean_ratio: round(mean(acks) / mean(raw), 2),
      },
      accept_to_news: ratio(news),
    },
    raw_http: summarize(behindHttp),
  }
  say(`one by one: ${JSON.stringify(report)}`)
  return report
}
