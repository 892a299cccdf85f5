import { z } from 'zod'
import type { Tickets } from '../../tenants/tickets.ts'
import { type AnyRoute, route } from '../route.ts'

export function ticketRoutes(tickets: Tickets): AnyRoute[] {
  return [
    route({
      method: 'post',
      path: '/api/ws/tickets',
      summary: 'A ticket for one WebSocket connection: /ws?ticket=…, within 30 s',
      description: 'For browsers, which cannot set headers on a WebSocket.',
      tag: 'Events',
      scope: 'read',
      responses: {
        201: {
          description: 'The ticket',
          schema: z.object({ ticket: z.string(), expires_at: z.iso.datetime() }),
        },
      },
      handler: async ({ caller }) => ({ status: 201, body: tickets.issue(caller) }),
    }),
  ]
}
