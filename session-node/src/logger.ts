/** JSON lines on stdout. Callers give names, codes and counts; message bodies and keys never come here. */

const severities = { error: 0, warn: 1, info: 2, debug: 3 } as const
export type LogLevel = keyof typeof severities
export type LogFields = Record<string, unknown>

export interface Logger {
  error(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  debug(message: string, fields?: LogFields): void
  /** adds fields to every line from now on */
  bind(fields: LogFields): void
}

export const createLogger = (
  level: LogLevel,
  bound: LogFields,
  write: (line: string) => void = (line) => process.stdout.write(line),
): Logger => {
  const fixed = { ...bound }
  const at =
    (severity: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (severities[severity] > severities[level]) return
      const line = { time: new Date().toISOString(), level: severity, message, ...fixed, ...fields }
      write(
        `${JSON.stringify(line, (_key, value) => (value instanceof Error ? describeError(value) : value))}\n`,
      )
    }
  return {
    error: at('error'),
    warn: at('warn'),
    info: at('info'),
    debug: at('debug'),
    bind: (fields) => void Object.assign(fixed, fields),
  }
}

/** what of an error may be logged: never the objects that libraries hang on it */
export const describeError = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error)
