/** What is told of many measured values: how many, the middle, the tail. */

export interface Summary {
  count: number
  p50: number
  p99: number
  max: number
}

/** By nearest rank: always one of the values. Throws when there are none, since a run without values has failed. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const value = sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)]
  if (value === undefined) throw new Error('nothing was measured')
  return value
}

export const median = (values: readonly number[]): number => percentile(values, 50)

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

/** Rounded to a tenth. */
export function summarize(values: readonly number[]): Summary {
  return {
    count: values.length,
    p50: round(percentile(values, 50)),
    p99: round(percentile(values, 99)),
    max: round(percentile(values, 100)),
  }
}

export const round = (value: number, digits = 1): number => Number(value.toFixed(digits))
