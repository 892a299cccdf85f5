/** Accounts: WhatsApp numbers, from their provisioning on. */
import type { Accounts } from '../../accounts/accounts.ts'
import { type AnyRoute, route } from '../route.ts'
import {
  accountSchema,
  createAccountBody,
  cursorQuery,
  idParams,
  page,
  updateAccountBody,
} from './schemas.ts'

export function accountRoutes(accounts: Accounts): AnyRoute[] {
  const account = { description: 'The account', schema: accountSchema }
  return [
    route({
      method: 'post',
      path: '/api/accounts',
      summary: 'Provision an account: its session starts, and a QR will come',
      tag: 'Accounts',
      scope: 'admin',
      body: createAccountBody,
      responses: { 201: account },
      handler: async ({ body, caller }) => {
        const created = await accounts.create(caller.tenantId, body)
        return { status: 201, body: created, headers: { Location: `/api/accounts/${created.id}` } }
      },
    }),
    route({
      method: 'get',
      path: '/api/accounts',
      summary: 'All accounts, newest first',
      tag: 'Accounts',
      scope: 'read',
      query: cursorQuery,
      responses: { 200: { description: 'A page', schema: page(accountSchema) } },
      handler: async ({ query, caller }) => ({
        status: 200,
        body: await accounts.list(caller.tenantId, query),
      }),
    }),
    route({
      method: 'get',
      path: '/api/accounts/{id}',
      summary: 'One account',
      tag: 'Accounts',
      scope: 'read',
      params: idParams,
      responses: { 200: account },
      handler: async ({ params, caller }) => ({
        status: 200,
        body: await accounts.read(caller.tenantId, params.id),
      }),
    }),
    route({
      method: 'patch',
      path: '/api/accounts/{id}',
      summary: 'Change its name or metadata',
      tag: 'Accounts',
      scope: 'admin',
      params: idParams,
      body: updateAccountBody,
      responses: { 200: account },
      handler: async ({ params, body, caller }) => ({
        status: 200,
        body: await accounts.update(caller.tenantId, params.id, body),
      }),
    }),
    route({
      method: 'delete',
      path: '/api/accounts/{id}',
      summary: 'Log out, stop, and delete the account with all its messages',
      tag: 'Accounts',
      scope: 'admin',
      params: idParams,
      responses: { 204: { description: 'It is gone' } },
      handler: async ({ params, caller }) => {
        await accounts.delete(caller.tenantId, params.id)
        return { status: 204 }
      },
    }),
  ]
}
