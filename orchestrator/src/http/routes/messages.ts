/** Sending, and one message's state. */
import { z } from 'zod'
import { PalomarError } from '../../errors.ts'
import { deadLetterPage } from '../../messages/dead-letters.ts'
import { bulkInput, messageInput } from '../../messages/message-input.ts'
import { type Message, messageSchema } from '../../messages/message-schemas.ts'
import type { Messages } from '../../messages/messages.ts'
import { problemOf } from '../error-handler.ts'
import { idempotencyOf } from '../idempotency-header.ts'
import { type AnyRoute, parsePart, type Reply, route } from '../route.ts'
import { cursorQuery, idParams } from './schemas.ts'

const flag = z.enum(['true', 'false']).default('false')
const sendQuery = z.strictObject({
  async: flag.meta({
    description:
      'answer at once with a correlation_id; the end (sent, failed or cancelled) is a message.ack event',
  }),
  queue: flag.meta({ description: 'take it although the session is not connected' }),
})
const idempotencyHeaders = z.object({
  'Idempotency-Key': z.string().min(1).max(255).optional().meta({
    description: 'the same key and body give the first answer again; kept for seven days',
  }),
})

const acceptedSchema = z
  .object({ correlation_id: z.uuid().nullable(), message: messageSchema })
  .meta({ id: 'Accepted' })
const bulkSchema = z.object({
  results: z.array(
    z.union([
      z.object({ status: z.literal(202), correlation_id: z.uuid().nullable(), message: messageSchema }),
      z.object({ status: z.number().int(), error: z.record(z.string(), z.unknown()) }),
    ]),
  ),
})

/**
 * What the end of a send answers: 201 once WhatsApp's server has it, 202 while it is under way, 422 when it failed, 409
 * when somebody cancelled it.
 */
function replyOf(message: Message): Reply {
  if (message.status === 'failed') {
    const code = message.error?.code === 'recipient_not_found' ? 'recipient_not_found' : 'message_rejected'
    const extra = { message_id: message.id, error: message.error }
    return { status: 422, body: problemOf(new PalomarError(code, message.error?.title, { extra })) }
  }
  if (message.status === 'cancelled') {
    const extra = { message_id: message.id }
    return { status: 409, body: problemOf(new PalomarError('message_cancelled', undefined, { extra })) }
  }
  return { status: message.status === 'pending' ? 202 : 201, body: message }
}

const acceptedReply = (message: Message) => ({
  status: 202,
  body: { correlation_id: message.correlation_id, message },
})

const bulkReply = (results: (Message | PalomarError)[]) => ({
  status: 200,
  body: {
    results: results.map((one) =>
      one instanceof PalomarError
        ? { status: one.status, error: problemOf(one) }
        : { status: 202, correlation_id: one.correlation_id, message: one },
    ),
  },
})

const replayed = (answer: Reply): Reply => ({ ...answer, headers: { 'Idempotent-Replayed': 'true' } })

const attempt = (n: number, item: unknown) => {
  try {
    return parsePart(messageInput, item, `messages.${n}`) as z.output<typeof messageInput>
  } catch (error) {
    if (error instanceof PalomarError) return error
    throw error
  }
}

export function messageRoutes(messages: Messages): AnyRoute[] {
  return [
    route({
      method: 'post',
      path: '/api/messages',
      summary: 'Send a message',
      description:
        'Stored before it is sent. Answers 201 after the server’s ack, or 202 with the state it is in when that takes too long.',
      tag: 'Messages',
      scope: 'send',
      query: sendQuery,
      headers: idempotencyHeaders,
      body: messageInput,
      responses: {
        201: { description: 'WhatsApp’s server has it', schema: messageSchema },
        202: {
          description: 'Accepted; the end comes as an event',
          schema: z.union([messageSchema, acceptedSchema]),
        },
      },
      handler: async ({ body, query, caller: { tenantId }, req, signal }) => {
        const idempotency = idempotencyOf(req)
        const options = { async: query.async === 'true', queue: query.queue === 'true', idempotency }
        if (options.async || body.send_at) {
          const accepted = await messages.accept(tenantId, body, { ...options, answer: acceptedReply })
          return 'answer' in accepted ? replayed(accepted.answer) : acceptedReply(accepted.message)
        }
        const ended = await messages.sendAndWait(tenantId, body, options, signal)
        if ('answer' in ended) return replayed(ended.answer)
        const reply = replyOf(ended.message)
        // A caller that went away has no answer yet: whoever asks again with the key gets the true one.
        if (idempotency && !signal.aborted) await messages.keepAnswer(tenantId, idempotency, reply)
        return reply
      },
    }),
    route({
      method: 'post',
      path: '/api/messages/bulk',
      summary: 'Accept up to 1,000 messages, with an answer per item',
      tag: 'Messages',
      scope: 'send',
      headers: idempotencyHeaders,
      body: bulkInput,
      responses: { 200: { description: 'An answer per item, in order', schema: bulkSchema } },
      handler: async ({ body, caller, req }) => {
        const inputs = body.messages.map((item, n) => attempt(n, item))
        const accepted = await messages.acceptMany(caller.tenantId, inputs, {
          ...{ async: true, queue: true, idempotency: idempotencyOf(req), answer: bulkReply },
        })
        return 'answer' in accepted ? replayed(accepted.answer) : bulkReply(accepted.results)
      },
    }),
    route({
      method: 'get',
      path: '/api/messages/{id}',
      summary: 'One message, with its status and times',
      tag: 'Messages',
      scope: 'read',
      params: idParams,
      responses: { 200: { description: 'The message', schema: messageSchema } },
      handler: async ({ params, caller }) => ({
        status: 200,
        body: await messages.read(caller.tenantId, params.id),
      }),
    }),
    route({
      method: 'post',
      path: '/api/messages/{id}/cancel',
      summary: 'Cancel a message that is not being sent',
      description:
        'Told as message.cancelled; of a message with a correlation_id also as message.ack, status cancelled.',
      tag: 'Messages',
      scope: 'send',
      params: idParams,
      responses: { 200: { description: 'The cancelled message', schema: messageSchema } },
      handler: async ({ params, caller }) => ({
        status: 200,
        body: await messages.cancel(caller.tenantId, params.id),
      }),
    }),
    route({
      method: 'post',
      path: '/api/messages/{id}/retry',
      summary: 'Send a failed message again',
      tag: 'Messages',
      scope: 'send',
      params: idParams,
      responses: { 202: { description: 'It waits to be sent again', schema: messageSchema } },
      handler: async ({ params, caller }) => ({
        status: 202,
        body: await messages.retry(caller.tenantId, params.id),
      }),
    }),
    route({
      method: 'get',
      path: '/api/dead-letters',
      summary: 'Messages whose tries are used up, the latest first',
      tag: 'Messages',
      scope: 'read',
      query: cursorQuery,
      responses: { 200: { description: 'A page', schema: deadLetterPage } },
      handler: async ({ query, caller }) => ({
        status: 200,
        body: await messages.listDeadLetters(caller.tenantId, query),
      }),
    }),
    route({
      method: 'post',
      path: '/api/dead-letters/{id}/redrive',
      summary: 'Give a dead letter its tries again, before what came after it',
      tag: 'Messages',
      scope: 'send',
      params: z.object({ id: z.string().regex(/^\d{1,19}$/) }),
      responses: { 202: { description: 'It waits to be sent again', schema: messageSchema } },
      handler: async ({ params, caller }) => ({
        status: 202,
        body: await messages.redriveDeadLetter(caller.tenantId, params.id),
      }),
    }),
  ]
}
