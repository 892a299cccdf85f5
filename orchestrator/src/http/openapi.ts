/** OpenAPI 3.1 from the routes themselves, so that the document cannot say what the code does not. */
import { OpenAPIRegistry, OpenApiGeneratorV31, type RouteConfig } from '@asteasolutions/zod-to-openapi'
import { z } from 'zod'
import { errorTable } from '../errors.ts'
import type { AnyRoute } from './route.ts'

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    code: z.enum(Object.keys(errorTable) as [string, ...string[]]),
    detail: z.string().optional(),
    request_id: z.string().optional(),
    errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem; `code` is stable' })

const problemContent = { 'application/problem+json': { schema: problemSchema } }

function operation(definition: AnyRoute): RouteConfig {
  const responses: RouteConfig['responses'] = {
    default: { description: 'Any failure', content: problemContent },
  }
  for (const [status, { description, schema, contentType = 'application/json' }] of Object.entries(
    definition.responses,
  )) {
    responses[status] = { description, ...(schema ? { content: { [contentType]: { schema } } } : {}) }
  }
  return {
    method: definition.method,
    path: definition.path,
    operationId:
      `${definition.method}_${definition.path.replace(/^\/api\//, '').replace(/[^a-z_]+/gi, '_')}`.replace(
        /_+$/,
        '',
      ),
    summary: definition.summary,
    ...(definition.description ? { description: definition.description } : {}),
    tags: [definition.tag],
    security: [{ bearer: [] }, { apiKey: [] }],
    request: {
      ...(definition.params ? { params: definition.params as never } : {}),
      ...(definition.query ? { query: definition.query as never } : {}),
      ...(definition.headers ? { headers: definition.headers as never } : {}),
      ...(definition.body
        ? { body: { required: true, content: { 'application/json': { schema: definition.body } } } }
        : {}),
    },
    responses,
  }
}

/** The whole document; made once at start. */
export function buildOpenApi(routes: AnyRoute[], version: string): object {
  const registry = new OpenAPIRegistry()
  registry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' })
  registry.registerComponent('securitySchemes', 'apiKey', { type: 'apiKey', in: 'header', name: 'X-Api-Key' })
  for (const definition of routes) registry.registerPath(operation(definition))
  return new OpenApiGeneratorV31(registry.definitions).generateDocument({
    openapi: '3.1.0',
    info: {
      title: 'Palomar',
      version,
      description:
        'Many WhatsApp accounts behind one API. Events arrive over the WebSocket at `/ws`. Errors are problem+json with a stable `code`.',
    },
    servers: [{ url: '/' }],
  })
}
