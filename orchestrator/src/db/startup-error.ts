/**
 * Something outside the program keeps it from starting. The message is one line that says what to do;
 * whoever starts the program prints the message alone, as a stack trace would only hide it.
 */
export class StartupError extends Error {
  override name = 'StartupError'
}

/** The text of anything thrown, on one line. */
export function oneLine(error: unknown): string {
  if (error instanceof AggregateError && !error.message) return error.errors.map(oneLine).join('; ')
  const text = error instanceof Error ? error.message : String(error)
  return text.trim().replace(/\s*\n\s*/g, ' ')
}
