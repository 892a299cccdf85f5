/** The simulator's API over HTTP: JSON in, JSON out, under /admin. */
import express, { type ErrorRequestHandler, type Express } from 'express'
import { ZodError, z } from 'zod'
import { Refusal } from '../refusal.ts'
import type { Simulator } from '../simulator.ts'

const phone = z.string().regex(/^\d{6,15}$/)
const jid = z.string().min(1)
const code = z.number().int().min(100).max(999)
const name = z.string().optional()

const requests = {
  scan: z.object({ qr: z.string(), phone: phone.optional(), name }),
  enterCode: z.object({ phone, code: z.string().min(8), name }),
  unlink: z.object({ jid }),
  drop: z.object({ jid, how: z.enum(['tcp_reset', 'close', 'half_open', 'mid_frame']).optional() }),
  close: z.object({
    jid,
    code,
    expire: z.number().int().optional(),
    how: z.enum(['stream_error', 'failure']).optional(),
  }),
  refuse: z.object({ jid, code, times: z.number().int().min(0), expire: z.number().int().optional() }),
  addressing: z.object({ mode: z.enum(['pn', 'lid']) }),
  contact: z.object({
    phone: phone.optional(),
    name,
    behaviour: z
      .object({
        receipts: z.boolean(),
        reads: z.union([z.boolean(), z.number().min(0)]),
        played: z.boolean(),
        types: z.boolean(),
        answers: z.union([
          z.literal(false),
          z.object({ text: z.string().optional(), delayMs: z.number().min(0).optional() }),
        ]),
      })
      .partial()
      .strict()
      .optional(),
  }),
  send: z.object({
    phone,
    to: z.string(),
    text: z.string(),
    count: z.number().int().min(1).optional(),
    rate_per_second: z.number().positive().optional(),
  }),
  phoneSend: z.object({ phone, to: z.string(), text: z.string(), count: z.number().int().min(1).optional() }),
  loseSessions: z.object({ phone }),
  group: z.object({ owner: phone, members: z.array(phone), subject: z.string().optional() }),
}

/** Routes to a simulator. Errors are `{error}`: 400 for a malformed request, else the refusal's own status. */
export function adminApp(simulator: Simulator): Express {
  const app = express().disable('x-powered-by')
  app.use(express.json({ limit: '1mb' }))

  /** A POST or PUT whose body is parsed before, and whose result is the answer. */
  function on<T>(
    method: 'post' | 'put',
    path: string,
    schema: z.ZodType<T>,
    act: (body: T) => unknown,
  ): void {
    app[method](`/admin${path}`, async (request, response) => {
      response.json((await act(schema.parse(request.body))) ?? {})
    })
  }

  on('post', '/phones/scan', requests.scan, (body) => simulator.scanQr(body))
  on('post', '/phones/enter-code', requests.enterCode, (body) => simulator.enterPairingCode(body))
  on('post', '/devices/unlink', requests.unlink, (body) => simulator.unlink(body))
  on('post', '/devices/drop', requests.drop, (body) => simulator.drop(body))
  on('post', '/devices/close', requests.close, (body) => simulator.closeWith(body))
  on('post', '/devices/refuse', requests.refuse, (body) => simulator.refuseLogins(body))
  on('put', '/addressing', requests.addressing, ({ mode }) => simulator.setAddressing(mode))
  // the plan checks itself, for callers in this process as well
  on('put', '/faults', z.looseObject({}), (body) => simulator.setFaults(body))
  on('post', '/contacts', requests.contact, (body) => simulator.addContact(body))
  on('post', '/contacts/send', requests.send, (body) => simulator.contactSend(body))
  on('post', '/contacts/lose-sessions', requests.loseSessions, (body) => simulator.loseSessions(body))
  on('post', '/phones/send', requests.phoneSend, (body) => simulator.phoneSend(body))
  on('post', '/groups', requests.group, (body) => simulator.createGroup(body))
  app.get('/admin/counters', (_request, response) => {
    response.json(simulator.counters())
  })
  for (const list of ['received', 'sent', 'unreadable'] as const) {
    app.get(`/admin/contacts/:phone/${list}`, (request, response) => {
      response.json(simulator[list]({ phone: request.params.phone }))
    })
  }

  app.use(answerError)
  return app
}

/** Express knows an error handler by its four parameters. */
const answerError: ErrorRequestHandler = (error: unknown, _request, response, _next) => {
  if (error instanceof Refusal) response.status(error.status).json({ error: error.message })
  else if (error instanceof ZodError) response.status(400).json({ error: z.prettifyError(error) })
  else if (error instanceof SyntaxError) response.status(400).json({ error: 'the body is not JSON' })
  else response.status(500).json({ error: error instanceof Error ? error.message : String(error) })
}
