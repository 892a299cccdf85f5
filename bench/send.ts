/**
 * `npm run bench:send -- [--runtime process|docker] [--messages 300] [--accounts 10] [--seconds 30] [--soak 30] [--rate 200]`
 *
 * How fast messages go out, beside raw Baileys at the same work in the same run: from the API's acceptance to the
 * WhatsApp server's ack, to a contact who decrypts and sends receipts. And how fast they are durably taken (202) while
 * they are being sent and while they wait for their time; how many a second go out for long, one account for `soak`
 * seconds, all for `seconds`; and what that costs in CPU.
 */
import { type PairedAccount, pairAccounts } from '../harness/pairing.ts'
import { type Bench, benchmark } from './benchmark.ts'
import { type LeanClient, leanClient } from './http-client.ts'
import { listenFor } from './listener.ts'
import { closedLoop, openLoop } from './load.ts'
import { pairRaw, type RawProcess, startRawProcess } from './raw/process.ts'
import { mean, round, summarize } from './summary.ts'
import { createTally, type Tally } from './tally.ts'
import { cpuOf, cpuPer, cpuSeconds } from './usage.ts'

const defaults = { messages: 300, accounts: 10, seconds: 30, soak: 30, rate: 200 }
type SendBench = Bench<typeof defaults>

interface Parties {
  accounts: PairedAccount[]
  raw: RawProcess
  contact: { phone: string; jid: string }
  client: LeanClient
  acks: Tally
}

/** acknowledged asynchronous sends that may be outstanding for each account: enough that its lane never runs dry */
const AHEAD = 100

const HOUR_MS = 3_600_000

await benchmark('send', defaults, async (bench) => {
  const parties = await prepare(bench)
  const { accounts } = bench.sizes
  return {
    ten_in_flight: await sync(bench, parties, 1, 10),
    all_accounts: await sync(bench, parties, accounts, 10),
    accept_waiting: await accept(bench, parties, 'later'),
    accept_sending: await accept(bench, parties, 'async'),
    sustained_all: await sustained(bench, parties, accounts, bench.sizes.seconds),
    sustained_one: await sustained(bench, parties, 1, bench.sizes.soak),
    // Last, when the code on both sides is as warm as in a process that has been up for a while.
    one_by_one: {
      ...(await sync(bench, parties, 1, 1)),
      async: await acceptToAck(bench, parties),
      raw_http: await rawHttp(bench, parties),
    },
  }
})

async function prepare({ stack, sizes, say, onEnd }: SendBench): Promise<Parties> {
  const { admin, waUrl } = stack.simulator
  const raw = startRawProcess(waUrl)
  onEnd(() => raw.stop())
  const client = leanClient(stack.client)
  onEnd(() => client.close())
  say(`pairing ${sizes.accounts} accounts, and as many raw clients`)
  const accounts = await pairAccounts(stack, sizes.accounts)
  for (let n = 0; n < sizes.accounts; n++) await pairRaw(raw, admin, n)
  const acks = createTally()
  const listener = await listenFor(stack.client, ['message.ack'], ({ data }) => {
    if (data.status !== 'sent') throw new Error(`a send failed: ${JSON.stringify(data)}`)
    acks.add()
  })
  onEnd(() => listener.close())
  const contact = await admin.addContact({ name: 'Eva' })
  const parties = { accounts, raw, contact, client, acks }
  // Sessions with the contact exist before anything is measured, on both sides.
  for (const account of accounts) await post(parties, account, 'warm-up', 'sync')
  await raw.call('send', { clients: accounts.map((_, n) => n), inFlight: 1, count: 5, to: contact.jid })
  for (const account of accounts)
    await closedLoop({ inFlight: 1, count: 5 }, () => post(parties, account, 'warm-up', 'sync'))
  return parties
}

type Mode = 'sync' | 'async' | 'later'

async function post(parties: Parties, account: PairedAccount, body: string, mode: Mode) {
  const message = {
    ...{ account_id: account.id, to: `+${parties.contact.phone}`, type: 'text', text: { body } },
    ...(mode === 'later' ? { send_at: new Date(Date.now() + HOUR_MS).toISOString() } : {}),
  }
  const [path, expected] = mode === 'sync' ? ['/api/messages', 201] : ['/api/messages?async=true', 202]
  await parties.client.post(String(path), message, Number(expected))
}

/** The synchronous API: its answer comes after the server's ack. */
async function sync(bench: SendBench, parties: Parties, accounts: number, inFlight: number) {
  const { stack, sizes, signal, say } = bench
  const count = Math.ceil(sizes.messages / accounts)
  const senders = parties.accounts.slice(0, accounts)
  const rawBefore = await cpuSeconds(parties.raw.pid)
  const theirs = await parties.raw.call('send', {
    ...{ clients: senders.map((_, n) => n), inFlight, count },
    to: parties.contact.jid,
  })
  const rawCpu = (await cpuSeconds(parties.raw.pid)) - rawBefore
  const before = await cpuOf(stack)
  const began = performance.now()
  const loops = await Promise.all(
    senders.map((account) =>
      closedLoop({ inFlight, count, signal }, (n) => post(parties, account, `text ${n}`, 'sync')),
    ),
  )
  const seconds = (performance.now() - began) / 1000
  const cpu = cpuPer(accounts * count, before, await cpuOf(stack))
  const ours = summarize(loops.flatMap(({ times }) => times))
  const raw = summarize(theirs.times)
  const report = {
    ...{ accounts, in_flight: inFlight, ...ours, per_second: round((accounts * count) / seconds) },
    raw: {
      ...raw,
      per_second: round(theirs.times.length / theirs.seconds),
      cpu_ms: round((rawCpu * 1000) / theirs.times.length, 2),
    },
    p50_ratio: round(ours.p50 / raw.p50, 2),
    cpu_ms: cpu,
  }
  say(`${accounts} × ${inFlight} in flight: ${JSON.stringify(report)}`)
  return report
}

/**
 * One by one, asynchronously: the 202; from then until WhatsApp's server has acknowledged it, taken from when it reaches
 * the contact, which is a little later; and from then to the news of that on the WebSocket. A thousandth of a second is
 * the clock's grain for the second of them.
 */
async function acceptToAck({ stack, sizes, signal, say }: SendBench, parties: Parties) {
  const [account] = parties.accounts
  if (!account) throw new Error('no account')
  const { admin } = stack.simulator
  const contact = await admin.addContact({ name: 'Bo' })
  await post({ ...parties, contact }, account, 'warm-up', 'sync')
  const accepted: number[] = []
  const acceptedAt = new Map<string, number>()
  const { times } = await closedLoop({ inFlight: 1, count: sizes.messages, signal }, async (n) => {
    const acked = parties.acks.reaches(parties.acks.count + 1)
    const began = performance.now()
    await post({ ...parties, contact }, account, `async ${n}`, 'async')
    accepted.push(performance.now() - began)
    acceptedAt.set(`async ${n}`, Date.now())
    await acked
  })
  const arrivals = (await admin.received(contact.phone)).flatMap(({ text, at }) => {
    const from = acceptedAt.get(text)
    return from === undefined ? [] : [at - from]
  })
  if (arrivals.length !== sizes.messages) throw new Error('not all have arrived')
  const report = {
    accept: summarize(accepted),
    accept_to_ack: { ...summarize(arrivals), mean: round(mean(arrivals)) },
    accept_to_news: summarize(times.map((ms, n) => ms - (accepted[n] ?? 0))),
  }
  say(`one by one, async: ${JSON.stringify(report)}`)
  return report
}

/** The same one by one from raw Baileys behind bare HTTP: what a caller of any HTTP API can hope for at best. */
async function rawHttp({ stack, sizes, signal, say, onEnd }: SendBench, { raw, contact }: Parties) {
  const { url } = await raw.call('listen', {})
  const client = leanClient({ ...stack.client, url })
  onEnd(() => client.close())
  const message = { client: 0, to: contact.jid, text: 'over HTTP' }
  const { times } = await closedLoop({ inFlight: 1, count: sizes.messages, signal }, () =>
    client.post('/', message, 200),
  )
  const report = summarize(times)
  say(`raw Baileys behind HTTP: ${JSON.stringify(report)}`)
  return report
}

/** Durable acceptance by the clock, spread over all accounts: of what their lanes send meanwhile, or of what waits. */
async function accept({ stack, sizes, signal, say }: SendBench, parties: Parties, mode: 'async' | 'later') {
  const { rate } = sizes
  const count = Math.ceil(rate * Math.min(sizes.seconds, 60))
  const before = await cpuOf(stack)
  const acked = parties.acks.count
  const times = await openLoop({ rate, count, signal }, (n) => {
    const account = parties.accounts[n % parties.accounts.length]
    if (!account) throw new Error('no account')
    return post(parties, account, `accepted ${n}`, mode)
  })
  const not_sent_yet = count - (parties.acks.count - acked)
  if (mode === 'async') await parties.acks.reaches(acked + count)
  const cpu_ms = cpuPer(count, before, await cpuOf(stack))
  const report = { rate, ...summarize(times), ...(mode === 'async' ? { not_sent_yet } : {}), cpu_ms }
  say(`accept, ${mode}: ${JSON.stringify(report)}`)
  return report
}

/** Asynchronous sends that never run dry, for a while: what goes out in a second. */
async function sustained(
  { stack, signal, say }: SendBench,
  parties: Parties,
  accounts: number,
  forSeconds: number,
) {
  const senders = parties.accounts.slice(0, accounts)
  const { acks } = parties
  const start = acks.count
  let accepted = 0
  const before = await cpuOf(stack)
  const began = performance.now()
  const elapsed = () => (performance.now() - began) / 1000
  const feed = async (account: PairedAccount) => {
    for (let n = 0; elapsed() < forSeconds; n++) {
      signal.throwIfAborted()
      accepted++
      await post(parties, account, `sustained ${n}`, 'async')
      await acks.reaches(start + accepted - AHEAD * accounts)
    }
  }
  await Promise.all(senders.map(feed))
  const [sent, seconds] = [acks.count - start, elapsed()]
  const cpu_ms = cpuPer(sent, before, await cpuOf(stack))
  await acks.reaches(start + accepted)
  const report = { accounts, seconds: round(seconds), sent, per_second: round(sent / seconds), cpu_ms }
  say(`sustained: ${JSON.stringify(report)}`)
  return report
}
