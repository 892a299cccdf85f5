/**
 * What may simply be run again: two transactions that waited for each other, of which Postgres has ended one, and a row
 * that was found and then gone (a conversation that was merged into another meanwhile).
 */
const conflicts = new Set(['40P01', '40001', '23503'])

export async function retryConflict<T>(run: () => Promise<T>, tries = 4): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run()
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : ''
      if (attempt === tries || !conflicts.has(code)) throw error
    }
  }
}
