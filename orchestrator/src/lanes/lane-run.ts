import { type Claim, release, type Want } from './claims.ts'
import type { LaneJob } from './lane-job.ts'
import { runTry, type TryOptions } from './lane-try.ts'
import type { HeldLane } from './lease-keeper.ts'
import { createTurn, type Turn, Withdrawn } from './turn.ts'

export interface LaneRun {
  options: TryOptions
  held: HeldLane
  signal: AbortSignal
  /** what to hold on to after a try; `begun`: the jobs that this run has begun so far */
  want: (begun: number) => Want
  /** false once the worker stops */
  mayBegin: () => boolean
  onFreed: (dueInMs: number | null) => void
}

/**
 * Runs a lane's jobs one after the other under one lease, until it is empty, must wait, or others should go. Where the
 * lane gave the job ahead as well, its try begins too, waits until the head is done, and is done while the head's end is
 * written.
 */
export async function runLane(run: LaneRun, first: Claim): Promise<void> {
  const { options, held, signal, mayBegin } = run
  const { lease } = first
  let begun = 0

  function begin(job: LaneJob, before: Turn | undefined): Running {
    begun += 1
    const turn = createTurn(before, mayBegin)
    const running: Begun = { job, turn, after: undefined }
    const hold = () => {
      const want = run.want(begun)
      const { after } = running
      if (want === 0) after?.turn.withdraw()
      else if (turn.isDone) after?.turn.grant()
      return { want, begun: after?.turn.granted ? after.job : undefined }
    }
    const next = {
      hold,
      async recall() {
        turn.undo()
        running.after?.turn.withdraw()
        // How it ended is told below, when the run goes on.
        if (running.after?.turn.granted) await running.after.ended.catch(() => undefined)
      },
      get followed() {
        return running.after !== undefined
      },
      get company() {
        return before !== undefined || running.after !== undefined
      },
    }
    const ended = runTry(options, { lease, job }, held, signal, turn, next).then((advance) => {
      const { after } = running
      // The lane may have been paused, or somebody more urgent have come, before it was begun.
      if (after && after.job.id === advance.next?.job.id) after.turn.grant()
      else after?.turn.withdraw()
      return advance
    })
    turn.follow(ended)
    return Object.assign(running, { ended })
  }

  let current: Running | undefined
  let claim: Claim | null = first
  while (claim) {
    if (!current) {
      if (!mayBegin()) return release(options.pool, claim)
      current = begin(claim.job, undefined)
    }
    if (claim.ahead) current.after = begin(claim.ahead, current.turn)
    const { ended, after }: Running = current
    try {
      const advance = await ended
      claim = advance.next
      if (!claim) run.onFreed(advance.dueInMs)
      // What is at work goes on as the head; what was not begun is begun anew.
      current = claim && after?.turn.granted ? after : undefined
    } finally {
      if (current !== after) await after?.ended.catch(withdrawn)
    }
  }

  function withdrawn(error: unknown): void {
    if (!(error instanceof Withdrawn)) options.onError(error)
  }
}

interface Begun {
  job: LaneJob
  turn: Turn
  /** the try of the job ahead */
  after: Running | undefined
}

interface Running extends Begun {
  ended: ReturnType<typeof runTry>
}
