/** How two tries of one lane follow each other: the later one is done once the earlier is, and ends after its end. */
import type { Advance } from './claims.ts'
import { LeaseLostError } from './lane-job.ts'

/** It was not to be this job's turn: the one before it is tried again, or the worker stops. Nothing has gone wrong. */
export class Withdrawn extends LeaseLostError {
  override name = 'Withdrawn'
}

export interface Turn {
  /** nobody may take the lane from it any more */
  readonly granted: boolean
  /** resolves when it is this job's turn; rejects with `Withdrawn` when it will not be now */
  mayDo(): Promise<void>
  /** what is left of this job is its end: the one after it may begin at any time */
  done(): void
  readonly isDone: boolean
  /** resolves when the one before has ended and the lane goes on; rejects with `Withdrawn` when it does not */
  mayEnd(): Promise<void>
  /** It is going to be the lane's head, unless the lane was given back. */
  grant(): void
  /** The lane is given back before it was begun. */
  withdraw(): void
  /** It is to be tried again although it was done: whatever follows it is not to end now. */
  undo(): void
  /** What became of the lane with this job's end. */
  follow(end: Promise<Advance>): void
  /** for the one after it */
  readonly whenDone: Promise<void>
  readonly whenEnded: Promise<void>
}

/**
 * @param before the turn of the job before it, if that has not ended
 * @param mayBegin false once the worker stops
 */
export function createTurn(before: Turn | undefined, mayBegin: () => boolean): Turn {
  const done = deferred()
  const ended = deferred()
  let isDone = false
  let state: 'waiting' | 'granted' | 'withdrawn' = before ? 'waiting' : 'granted'
  const withdraw = () => {
    if (state === 'waiting') state = 'withdrawn'
  }
  before?.whenEnded.catch(withdraw)
  const stop = () => {
    const error = new Withdrawn('The job before it is not over.')
    done.reject(error)
    ended.reject(error)
  }
  return {
    get granted() {
      return state === 'granted'
    },
    async mayDo() {
      await before?.whenDone
      if (state === 'waiting') state = mayBegin() ? 'granted' : 'withdrawn'
      if (state === 'withdrawn') throw new Withdrawn('The lane was given back.')
    },
    done() {
      isDone = true
      done.resolve()
    },
    get isDone() {
      return isDone
    },
    mayEnd: async () => before?.whenEnded,
    grant() {
      if (state === 'waiting') state = 'granted'
    },
    withdraw,
    undo: stop,
    follow(end) {
      end.then(({ next }) => {
        if (!next) return stop()
        done.resolve()
        ended.resolve()
      }, stop)
    },
    whenDone: done.promise,
    whenEnded: ended.promise,
  }
}

function deferred() {
  let resolve: () => void = () => undefined
  let reject: (error: Error) => void = () => undefined
  const promise = new Promise<void>((yes, no) => {
    resolve = yes
    reject = no
  })
  // Mostly nobody comes after.
  promise.catch(() => undefined)
  return { promise, resolve, reject }
}
