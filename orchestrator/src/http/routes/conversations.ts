/** Conversations and their messages, newest first. */
import { z } from 'zod'
import { conversationPage, conversationSchema, messagePage } from '../../messages/message-schemas.ts'
import type { Messages } from '../../messages/messages.ts'
import { type AnyRoute, route } from '../route.ts'
import { cursorQuery } from './schemas.ts'

const account = z
  .uuid()
  .optional()
  .meta({ description: 'needed where a phone number or JID is known to several accounts' })
const conversationParams = z.object({
  id: z.string().min(1).max(200).meta({ description: 'the conversation’s id, a phone number or a JID' }),
})

export function conversationRoutes(messages: Messages): AnyRoute[] {
  return [
    route({
      method: 'get',
      path: '/api/conversations',
      summary: 'Conversations, the latest first',
      tag: 'Conversations',
      scope: 'read',
      query: cursorQuery.extend({ account_id: z.uuid().optional() }),
      responses: { 200: { description: 'A page', schema: conversationPage } },
      handler: async ({ query, caller }) => ({
        status: 200,
        body: await messages.listConversations(caller.tenantId, query),
      }),
    }),
    route({
      method: 'get',
      path: '/api/conversations/{id}',
      summary: 'One conversation',
      tag: 'Conversations',
      scope: 'read',
      params: conversationParams,
      query: z.strictObject({ account_id: account }),
      responses: { 200: { description: 'The conversation', schema: conversationSchema } },
      handler: async ({ params, query, caller }) => ({
        status: 200,
        body: await messages.findConversation(caller.tenantId, params.id, query.account_id),
      }),
    }),
    route({
      method: 'get',
      path: '/api/conversations/{id}/messages',
      summary: 'A conversation’s messages, newest first',
      tag: 'Conversations',
      scope: 'read',
      params: conversationParams,
      query: cursorQuery.extend({ account_id: account }),
      responses: { 200: { description: 'A page', schema: messagePage } },
      handler: async ({ params, query, caller }) => ({
        status: 200,
        body: await messages.listMessages(caller.tenantId, params.id, query),
      }),
    }),
  ]
}
