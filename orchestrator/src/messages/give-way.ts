/**
 * Sends give way to accepting while more comes in than goes out. Then a message waits in its lane for longer than any
 * accept takes, and sends that begin at once only make the callers wait as well: all of it competes for the same
 * processors. In balance nobody gives way.
 *
 * How many sends may be at work follows from how long accepting takes: fewer at once as soon as it is slow, more one by
 * one while it is quick.
 */
export interface GiveWay {
  /** Resolves when a send may begin, with what says that it has ended. */
  enter(): Promise<() => void>
  /** So many messages that are to be sent now were accepted; `ms` after they came, where that says how slow it is. */
  accepted(messages: number, ms?: number): void
}

export interface GiveWayOptions {
  /** sends at a time when nobody has to give way */
  most: number
  /** accepting is slow when it takes longer; default 5 ms */
  slowMs?: number
  /** after this long a send waits for the network rather than for a processor, and counts no more; default 50 ms */
  busyMs?: number
  /** the monotonic clock, in milliseconds */
  now?: () => number
}

/** how often coming and going are compared */
const WINDOW_MS = 50
/** of what was counted, how much still counts in the next window: a few windows are remembered */
const KEPT = 0.85
/** of what went out, by how much more must have come in */
const MARGIN = 1.2
/** what is within the margin whatever went out: a few that came at once */
const FEW = 5
const LESS = 0.7
/** an accept that was slow speaks for those around it, too */
const LESS_AGAIN_MS = 20
const MORE = 0.05

export function createGiveWay(options: GiveWayOptions): GiveWay {
  const { most, slowMs = 5, busyMs = 50, now = () => performance.now() } = options
  const waiting: (() => void)[] = []
  const count = { came: 0, went: 0, until: 0 }
  let behind = false
  let room = most
  let atWork = 0
  let lastLess = Number.NEGATIVE_INFINITY

  function compare(): void {
    const at = now()
    if (at < count.until) return
    const wasBehind = behind
    // Once behind, until it catches up.
    behind = wasBehind ? count.came > count.went : count.came > count.went * MARGIN + FEW
    // At once, since those who wait by then are felt for long; and back one by one, or accepting would feel it.
    if (!behind) room = Math.min(most, room + 1)
    else if (!wasBehind) room = 1
    Object.assign(count, { came: count.came * KEPT, went: count.went * KEPT, until: at + WINDOW_MS })
    admit()
  }

  function admit(): void {
    while (atWork < room && waiting.length > 0) {
      atWork++
      waiting.shift()?.()
    }
  }

  function begin(): () => void {
    let counts = true
    const free = () => {
      if (!counts) return
      counts = false
      clearTimeout(timer)
      atWork--
      admit()
    }
    const timer = setTimeout(free, busyMs)
    let ended = false
    return () => {
      if (!ended) count.went++
      ended = true
      free()
      compare()
    }
  }

  return {
    async enter() {
      compare()
      if (atWork >= room) await new Promise<void>((go) => waiting.push(go))
      else atWork++
      return begin()
    },
    accepted(messages, ms) {
      count.came += messages
      compare()
      if (!behind || ms === undefined) return
      if (ms <= slowMs) room = Math.min(most, room + MORE)
      else if (now() - lastLess >= LESS_AGAIN_MS) {
        lastLess = now()
        room = Math.max(1, room * LESS)
      }
      admit()
    },
  }
}
