/** What will go wrong and when: a pure function of the seed, so that a failing run can be had again. */
import type { LinkName } from '../harness/links.ts'
import type { LinkConditions } from '../harness/tcp-proxy.ts'
import type { FaultSettings } from '../simulator/src/faults/plan.ts'
import { type Random, seededRandom } from '../simulator/src/faults/random.ts'

export type Act =
  | { do: 'kill-node'; account: number }
  | { do: 'pause-node'; account: number; forMs: number }
  | { do: 'kill-orchestrator'; downMs: number }
  | { do: 'pause-orchestrator'; forMs: number }
  | { do: 'kill-postgres'; downMs: number }
  | { do: 'cut-link'; link: LinkName; forMs: number }
  | { do: 'bend-link'; link: LinkName; conditions: LinkConditions; forMs: number }
  | { do: 'drop'; account: number; how: 'tcp_reset' | 'half_open' | 'mid_frame' }
  | { do: 'close'; account: number; code: 428 | 500 | 503 | 515 }
  | { do: 'faults'; settings: FaultSettings; forMs: number }

export interface Step {
  /** since the start */
  atMs: number
  act: Act
}

/** Draws one act of its kind. */
type Card = (draw: Draw) => Act

interface Draw {
  account: number
  between(low: number, high: number): number
  of<T>(choices: readonly T[]): T
}

const killNode: Card = ({ account }) => ({ do: 'kill-node', account })
const killOrchestrator: Card = ({ between }) => ({ do: 'kill-orchestrator', downMs: between(0, 1_500) })
const killPostgres: Card = ({ between }) => ({ do: 'kill-postgres', downMs: between(0, 2_000) })
const pauseNode: Card = ({ account, between }) => ({ do: 'pause-node', account, forMs: between(500, 6_000) })
const pauseOrchestrator: Card = ({ between }) => ({ do: 'pause-orchestrator', forMs: between(300, 4_000) })
const close: Card = ({ account, of }) => ({ do: 'close', account, code: of([428, 500, 503, 515] as const) })
const drop =
  (how: 'tcp_reset' | 'half_open' | 'mid_frame'): Card =>
  ({ account }) => ({ do: 'drop', account, how })
const cut =
  (link: LinkName): Card =>
  ({ between }) => ({ do: 'cut-link', link, forMs: between(200, 3_000) })
const bend = (link: LinkName, conditions: (draw: Draw) => LinkConditions): Card => {
  return (draw) => ({
    do: 'bend-link',
    link,
    conditions: conditions(draw),
    forMs: draw.between(1_000, 5_000),
  })
}
const faults = (settings: (draw: Draw) => FaultSettings): Card => {
  return (draw) => ({ do: 'faults', settings: settings(draw), forMs: draw.between(1_500, 5_000) })
}

const slow = ({ between }: Draw) => ({ latencyMs: between(5, 80), jitterMs: between(0, 40) })
const choppy = ({ between }: Draw) => ({ sliceBytes: between(16, 400), latencyMs: between(0, 5) })
const narrow = ({ between }: Draw) => ({ bytesPerSecond: between(60_000, 400_000) })
const silent = () => ({ blackhole: true })

/** About a minute of it. The first twelve are what even the shortest run should see. */
const deck: readonly Card[] = [
  killNode,
  killOrchestrator,
  killPostgres,
  pauseNode,
  cut('database'),
  cut('internal'),
  cut('simulator'),
  pauseOrchestrator,
  drop('tcp_reset'),
  faults(({ between }) => ({ drop: between(2, 15) / 100 })),
  faults(({ between }) => ({ missing_ack: between(5, 40) / 100 })),
  killNode,
  killNode,
  killNode,
  killNode,
  killNode,
  killNode,
  killNode,
  killNode,
  killNode,
  killNode,
  killNode,
  killOrchestrator,
  killOrchestrator,
  killPostgres,
  pauseNode,
  pauseNode,
  cut('database'),
  cut('internal'),
  cut('simulator'),
  bend('database', slow),
  bend('internal', slow),
  bend('simulator', slow),
  bend('internal', choppy),
  bend('simulator', choppy),
  bend('database', silent),
  bend('internal', silent),
  bend('simulator', silent),
  bend('simulator', narrow),
  drop('half_open'),
  drop('mid_frame'),
  close,
  close,
  faults(({ between }) => ({ latency_ms: between(5, 150), jitter_ms: between(0, 150) })),
  faults(({ between }) => ({ repeat: between(5, 50) / 100 })),
  faults(({ between }) => ({ receipt_delay_ms: between(0, 1_500), receipt_reorder: between(0, 50) / 100 })),
  faults(({ of }) => ({ ack_error: { code: of([463, 479, 503]), rate: 0.15 } })),
]
const ESSENTIAL = 12

/** Deals whole decks, shuffled, over the time, and of the last one as much as is left of it. */
export function schedule(options: { seed: number; minutes: number; accounts: number }): Step[] {
  const { seed, minutes, accounts } = options
  const random = seededRandom(seed)
  const between = (low: number, high: number) => Math.round(low + random() * (high - low))
  const of = <T>(choices: readonly T[]): T => choices[Math.floor(random() * choices.length)] as T
  const count = Math.max(ESSENTIAL, Math.round(minutes * deck.length))
  const hand: Card[] = []
  while (hand.length < count) {
    const left = count - hand.length
    const part =
      left >= deck.length ? deck : [...deck.slice(0, ESSENTIAL), ...shuffled(deck.slice(ESSENTIAL), random)]
    hand.push(...shuffled(part.slice(0, left), random))
  }
  const apart = (minutes * 60_000) / (count + 1)
  return hand.map((card, n) => ({
    atMs: Math.round((n + 0.5 + random()) * apart),
    act: card({ account: between(0, accounts - 1), between, of }),
  }))
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const rest = [...items]
  const order: T[] = []
  while (rest.length > 0) order.push(...rest.splice(Math.floor(random() * rest.length), 1))
  return order
}
