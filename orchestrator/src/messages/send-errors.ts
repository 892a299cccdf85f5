/**
 * One table of the reasons for which a send fails: code → title, and whether the same message can ever get through.
 * WhatsApp's own ack errors are mapped onto it. Shown in `message.error`.
 */
import type { MessageError } from './status.ts'

export const sendErrors = {
  reachout_timelock: { title: 'WhatsApp does not let this account write to new people now', permanent: true },
  invalid_message: { title: 'WhatsApp found the message malformed', permanent: true },
  recipient_not_found: { title: 'The recipient is not on WhatsApp', permanent: true },
  not_allowed: { title: 'This account may not write to that chat', permanent: true },
  stale_recipient: { title: 'What we knew of the recipient is out of date', permanent: false },
  rate_limited: { title: 'WhatsApp asks to slow down', permanent: false },
  server_error: { title: 'WhatsApp failed to take the message', permanent: false },
  rejected: { title: 'WhatsApp refused the message', permanent: true },
  node_failed: { title: 'The session node failed to send the message', permanent: false },
  outcome_unknown: { title: 'WhatsApp never told whether it took the message', permanent: false },
} as const satisfies Record<string, { title: string; permanent: boolean }>

export type SendErrorCode = keyof typeof sendErrors

/** by the `error` attribute of the server's ack */
const byAckError: Record<number, SendErrorCode> = {
  400: 'invalid_message',
  401: 'not_allowed',
  403: 'not_allowed',
  404: 'recipient_not_found',
  405: 'invalid_message',
  406: 'not_allowed',
  408: 'server_error',
  409: 'stale_recipient',
  410: 'stale_recipient',
  420: 'not_allowed',
  421: 'stale_recipient',
  429: 'rate_limited',
  432: 'stale_recipient',
  463: 'reachout_timelock',
  475: 'reachout_timelock',
  479: 'invalid_message',
  500: 'server_error',
  503: 'server_error',
}

/** Any code gives an error: an unknown one is a permanent refusal, so that nothing is hammered at WhatsApp. */
export function ofAckError(waCode: number): MessageError {
  return sendError(byAckError[waCode] ?? 'rejected', waCode)
}

export function sendError(code: SendErrorCode, waCode?: number): MessageError {
  return {
    code,
    ...sendErrors[code],
    ...(waCode === undefined ? {} : { wa_code: waCode }),
    ...(code === 'outcome_unknown' ? { outcome_unknown: true } : {}),
  }
}
