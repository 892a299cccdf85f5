/**
 * `npm run chaos -- --seed N --minutes M [--runtime docker|process] [--accounts 4]`: people and clients write while
 * nodes, the orchestrator and Postgres are killed and frozen, links cut and bent, and WhatsApp misbehaves; then all is
 * healed, and every message is accounted for. The last line is JSON; the exit code is 0 only if nothing went wrong.
 * What a failing run left behind is kept in a folder it names; with --keep, a good one's too.
 */
import { randomInt } from 'node:crypto'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { chooseRuntime } from '../harness/engine.ts'
import { type Stack, startStack } from '../harness/stack.ts'
import { keepRecord, newFolder } from './record.ts'
import { type Run, runChaos } from './run.ts'
import { timelineOf } from './timeline.ts'

const { values: args } = parseArgs({
  options: {
    seed: { type: 'string' },
    minutes: { type: 'string', default: '1' },
    runtime: { type: 'string' },
    accounts: { type: 'string', default: '4' },
    addressing: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
})
const seed = args.seed === undefined ? randomInt(1, 1_000_000) : Number(args.seed)
const minutes = Number(args.minutes)
const accounts = Number(args.accounts)
if (!Number.isSafeInteger(seed)) throw new Error('--seed is a whole number')
if (!(minutes > 0 && minutes <= 240)) throw new Error('--minutes is a number up to 240')
if (!(Number.isSafeInteger(accounts) && accounts > 0 && accounts <= 50))
  throw new Error('--accounts is 1 to 50')
// By default a seed also decides how the simulated WhatsApp names people.
const addressing = args.addressing ?? (seed % 2 === 0 ? 'lid' : 'pn')
if (addressing !== 'pn' && addressing !== 'lid') throw new Error('--addressing is pn or lid')
const runtime = await chooseRuntime(args.runtime)

const say = (line: string) => console.error(`chaos: ${line}`)
const interruption = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    say(`${signal}: cleaning up`)
    interruption.abort(new Error(`ended by ${signal}`))
  })
}

function report({ kills, pauses, cuts, crashes, drained, evidence, verdict }: Run) {
  const { inbound, outbound } = evidence.history
  const { counts, repeats, asked_again } = verdict
  return {
    seed,
    runtime,
    kills,
    pauses,
    cuts,
    inbound: inbound.length,
    outbound: outbound.filter(({ outcome }) => outcome === 'accepted').length,
    lost: counts.lost,
    duplicate: counts.duplicate,
    repeats,
    misordered: counts.misordered,
    status_regressions: counts.status_regressions,
    wrong_status: counts.wrong_status,
    undecryptable: counts.undecryptable,
    asked_again,
    crashes,
    drain_ms: drained.ms,
  }
}

const SHOWN = 30

/** Says what is wrong with a run, each message with all that is known of it. */
function complain({ verdict: { violations }, evidence, drained }: Run): void {
  for (const { kind, what, message } of violations.slice(0, SHOWN)) {
    say(`${kind}: ${message}: ${what}`)
    for (const line of timelineOf(message, evidence)) say(`    ${line}`)
  }
  if (violations.length > SHOWN) say(`… and ${violations.length - SHOWN} more`)
  for (const { id, exit_reason } of evidence.crashes) say(`node ${id} ended by itself: ${exit_reason}`)
  for (const what of drained.stuck) say(`still on its way after ${drained.ms} ms: ${what}`)
}

let stack: Stack | undefined
let run: Run | undefined
let good = false
try {
  say(`seed ${seed}, ${runtime}, ${accounts} accounts, names by ${addressing}`)
  stack = await startStack({
    runtime,
    seed,
    addressing,
    links: true,
    // A request that died with the orchestrator blocks its key for as long as it might have waited.
    env: { PALOMAR_SEND_WAIT_MS: '5000' },
  })
  run = await runChaos({ stack, seed, minutes, accounts, interrupted: interruption.signal, say })
  good = run.verdict.violations.length === 0 && run.drained.stuck.length === 0
  if (!good) complain(run)
} catch (error) {
  if (!interruption.signal.aborted) console.error(error)
} finally {
  if (stack && (args.keep || !good) && !interruption.signal.aborted) {
    const folder = await newFolder(path.resolve('.palomar/chaos'), `seed-${seed}-${runtime}`)
    await keepRecord(folder, stack, run).catch((error) => say(`the record is not whole: ${error}`))
    say(`logs and evidence are kept in ${folder}`)
  }
  await stack?.close()
}
if (run) console.log(JSON.stringify(report(run)))
process.exit(good ? 0 : 1)
