/**
 * `npm run bench:send -- [--runtime process|docker] [--messages 300] [--accounts 10] [--seconds 30] [--soak 30] [--rate 200]`
 *
 * How fast messages go out, beside raw Baileys at the same work in the same run: from the API's acceptance to the
 * WhatsApp server's ack, to a contact who decrypts and sends receipts. And how fast they are durably taken (202) while
 * they are being sent and while they wait for their time; how many a second go out for long, one account for `soak`
 * seconds, all for `seconds`; and what that costs in CPU.
 */
import type { PairedAccount } from '../harness/pairing.ts'
import { benchmark } from './benchmark.ts'
import { closedLoop, openLoop } from './load.ts'
import { oneByOne } from './send-one-by-one.ts'
import { type Parties, post, prepare, type SendBench } from './send-parties.ts'
import { round, summarize } from './summary.ts'
import { cpuOf, cpuPer, cpuSeconds } from './usage.ts'

const defaults = { messages: 300, accounts: 10, seconds: 30, soak: 30, rate: 200 }
/** acknowledged asynchronous sends that may be outstanding for each account: enough that its lane never runs dry */
const AHEAD = 100

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
    one_by_one: await oneByOne(bench, parties),
  }
})

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
