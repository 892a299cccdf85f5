/**
 * JSON lines on stdout. `context` carries the request id through everything a request does, so that callers need not
 * pass it. Message bodies and keys are never given to a logger; the redaction below is the second fence.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import winston from 'winston'

export type Logger = Pick<winston.Logger, 'error' | 'warn' | 'info' | 'debug' | 'child'>

export const requestContext = new AsyncLocalStorage<{ request_id: string }>()

const secretNames =
  /^(authorization|x-api-key|apikey|api_key|key|token|password|secret|creds|raw|body|text|plaintext)$/i

const redact = winston.format((info) => {
  for (const name of Object.keys(info)) if (secretNames.test(name)) info[name] = '[redacted]'
  return info
})
const inRequest = winston.format((info) => Object.assign(info, requestContext.getStore()))

/** Errors are logged with name, code, message and stack; pass them as `{error}`. */
const plainErrors = winston.format((info) => {
  if (info.error instanceof Error) {
    const { name, message, stack } = info.error
    info.error = { name, message, code: 'code' in info.error ? info.error.code : undefined, stack }
  }
  return info
})

export function createLogger(level: string, silent = false): Logger {
  return winston.createLogger({
    level,
    silent,
    format: winston.format.combine(
      winston.format.timestamp(),
      inRequest(),
      redact(),
      plainErrors(),
      winston.format.json(),
    ),
    transports: [new winston.transports.Console()],
  })
}
