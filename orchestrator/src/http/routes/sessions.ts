/** A session's start, stop and pairing, and its container's log. */
import { setTimeout as delay } from 'node:timers/promises'
import QRCode from 'qrcode'
import { z } from 'zod'
import type { Messages } from '../../messages/messages.ts'
import type { LogLine } from '../../nodes/runtime/runtime.ts'
import type { Lifecycle } from '../../sessions/lifecycle.ts'
import type { Pairing } from '../../sessions/pairing.ts'
import type { createSessionLogs } from '../../sessions/session-logs.ts'
import { type AnyRoute, route } from '../route.ts'
import { idParams, pairingCodeBody, pairingCodeSchema, qrSchema, sessionSchema } from './schemas.ts'

const QR_WAIT_MS = 20_000
const HEADERS_WITHIN_MS = 500

const logsQuery = z.strictObject({
  tail: z.coerce.number().int().min(0).max(10_000).default(200),
  since: z.iso.datetime({ offset: true }).optional(),
  follow: z.enum(['true', 'false']).default('false'),
})

const timestamped = ({ at, text }: LogLine) => `${at.toISOString()} ${text}\n`

export function sessionRoutes(rooms: {
  sendingPause: Messages['sendingPause']
  lifecycle: Lifecycle
  pairing: Pairing
  logs: ReturnType<typeof createSessionLogs>
}): AnyRoute[] {
  const { lifecycle, pairing, logs, sendingPause } = rooms
  const session = { 200: { description: 'The session', schema: sessionSchema } }
  return [
    route({
      method: 'get',
      path: '/api/accounts/{id}/session',
      summary: 'The session: what is wanted, what is, and the node that runs it',
      tag: 'Sessions',
      scope: 'read',
      params: idParams,
      responses: session,
      handler: async ({ params, caller }) => {
        const session = await lifecycle.readSession({ tenantId: caller.tenantId, accountId: params.id })
        const pause = await sendingPause(params.id)
        const sending_paused = pause ? { until: pause.until.toISOString(), reason: pause.reason } : null
        return { status: 200, body: { ...session, sending_paused } }
      },
    }),
    route({
      method: 'post',
      path: '/api/accounts/{id}/session',
      summary: 'Start the session; with ?restart=true with a new node',
      tag: 'Sessions',
      scope: 'admin',
      params: idParams,
      query: z.strictObject({ restart: z.enum(['true', 'false']).default('false') }),
      responses: { 202: { description: 'It will run', schema: sessionSchema } },
      handler: async ({ params, query, caller }) => {
        const account = { tenantId: caller.tenantId, accountId: params.id }
        const restart = query.restart === 'true'
        return {
          status: 202,
          body: await (restart ? lifecycle.restartSession(account) : lifecycle.startSession(account)),
        }
      },
    }),
    route({
      method: 'post',
      path: '/api/accounts/{id}/session/stop',
      summary: 'Stop the session; it stays paired',
      tag: 'Sessions',
      scope: 'admin',
      params: idParams,
      responses: { 202: { description: 'It will stop', schema: sessionSchema } },
      handler: async ({ params, caller }) => ({
        status: 202,
        body: await lifecycle.stopSession({ tenantId: caller.tenantId, accountId: params.id }),
      }),
    }),
    route({
      method: 'delete',
      path: '/api/accounts/{id}/session',
      summary: 'Log out of WhatsApp and stop; the account and its messages stay',
      tag: 'Sessions',
      scope: 'admin',
      params: idParams,
      responses: session,
      handler: async ({ params, caller }) => ({
        status: 200,
        body: await lifecycle.logoutSession({ tenantId: caller.tenantId, accountId: params.id }),
      }),
    }),
    route({
      method: 'get',
      path: '/api/accounts/{id}/session/qr',
      summary: 'The QR to scan; asking for it starts pairing again when that had ended',
      description: 'Waits up to 20 s for WhatsApp to give one. With `Accept: image/png` the picture itself.',
      tag: 'Sessions',
      scope: 'admin',
      params: idParams,
      responses: { 200: { description: 'The QR', schema: qrSchema } },
      handler: async ({ params, caller, req, res, signal }) => {
        const qr = await pairing.getQr(
          { tenantId: caller.tenantId, accountId: params.id },
          QR_WAIT_MS,
          signal,
        )
        res.set('Cache-Control', 'no-store')
        if (req.accepts(['json', 'image/png']) === 'image/png') {
          res
            .type('png')
            .send(await QRCode.toBuffer(qr.text, { errorCorrectionLevel: 'L', margin: 2, scale: 6 }))
          return undefined
        }
        const data_url = await QRCode.toDataURL(qr.text, { errorCorrectionLevel: 'L', margin: 2 })
        return { status: 200, body: { qr: qr.text, expires_at: qr.expires_at, data_url } }
      },
    }),
    route({
      method: 'post',
      path: '/api/accounts/{id}/session/pairing-code',
      summary: 'A code to type on the phone instead of scanning',
      tag: 'Sessions',
      scope: 'admin',
      params: idParams,
      body: pairingCodeBody,
      responses: { 200: { description: 'The code', schema: pairingCodeSchema } },
      handler: async ({ params, body, caller, signal }) => ({
        status: 200,
        body: await pairing.requestPairingCode(
          { tenantId: caller.tenantId, accountId: params.id },
          body.phone,
          signal,
        ),
      }),
    }),
    route({
      method: 'get',
      path: '/api/accounts/{id}/logs',
      summary: "The log of the session's container or process",
      description:
        'Plain text, a line each with its time. `follow=true` keeps the answer open, also over a replaced node. After the container has gone: its last lines.',
      tag: 'Sessions',
      scope: 'admin',
      params: idParams,
      query: logsQuery,
      responses: { 200: { description: 'Lines', schema: z.string(), contentType: 'text/plain' } },
      handler: async ({ params, query, caller, res, signal }) => {
        const account = { tenantId: caller.tenantId, accountId: params.id }
        await lifecycle.readSession(account)
        const lines = logs(account, {
          tail: query.tail,
          ...(query.since ? { since: new Date(query.since) } : {}),
          follow: query.follow === 'true',
          signal,
        })
        res.type('text/plain').set('Cache-Control', 'no-store').set('X-Accel-Buffering', 'no')
        try {
          // A driver that fails says so at once, as a problem; a log without a line yet must not keep the headers back.
          const first = lines.next()
          await Promise.race([first, delay(HEADERS_WITHIN_MS)])
          res.flushHeaders()
          for (let line = await first; !line.done && !signal.aborted; line = await lines.next()) {
            // A reader slower than the log is waited for, not buffered for.
            if (!res.write(timestamped(line.value))) await drained(res, signal)
          }
        } finally {
          await lines.return(undefined)
        }
        res.end()
        return undefined
      },
    }),
  ]
}

async function drained(res: NodeJS.WritableStream, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = () => {
      res.off('drain', done)
      signal.removeEventListener('abort', done)
      resolve()
    }
    res.on('drain', done)
    signal.addEventListener('abort', done)
    if (signal.aborted) done()
  })
}
