/**
 * Tells when something that was asked for is late: `true` once one answer has been out for `afterMs`, `false` when all
 * that were have come or failed.
 */
export const watchLateness = (afterMs: number, tell: (late: boolean) => void) => {
  let late = 0
  return async <T>(answer: Promise<T>): Promise<T> => {
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      late += 1
      if (late === 1) tell(true)
    }, afterMs)
    try {
      return await answer
    } finally {
      clearTimeout(timer)
      if (isLate) {
        late -= 1
        if (late === 0) tell(false)
      }
    }
  }
}
