/** Two transactions that wait for each other: Postgres ends one of them, which may simply be run again. */
const conflicts = new Set(['40P01', '40001'])

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
