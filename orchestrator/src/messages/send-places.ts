import { availableParallelism } from 'node:os'

/**
 * Sends at work: as many at a time as there are processors. That many keep the processors busy; more send no more a
 * second, and make all else wait for longer, accepting first of all.
 */
export interface SendPlaces {
  /** Resolves, in the order of the calls, when a send may begin, with what says that it has ended. */
  enter(): Promise<() => void>
}

export interface SendPlacesOptions {
  /** default: as many as there are processors for this process, and two at least */
  places?: number
  /** After this long a send waits for the network and takes no place any more; default 20 ms. */
  busyMs?: number
}

export function createSendPlaces(options: SendPlacesOptions = {}): SendPlaces {
  const { places = Math.max(2, availableParallelism()), busyMs = 20 } = options
  const waiting: (() => void)[] = []
  let free = places

  function leave(): void {
    const next = waiting.shift()
    if (next) next()
    else free++
  }

  /** @returns what gives the place back, once, however often it is called */
  function take(): () => void {
    let held = true
    const giveBack = () => {
      if (!held) return
      held = false
      clearTimeout(timer)
      leave()
    }
    const timer = setTimeout(giveBack, busyMs)
    return giveBack
  }

  return {
    async enter() {
      if (free > 0) free--
      else await new Promise<void>((go) => waiting.push(go))
      return take()
    },
  }
}
