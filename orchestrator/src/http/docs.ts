/** The page that shows the OpenAPI document: Swagger UI from its own package, nothing from another host. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import express, { Router } from 'express'

const page = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Palomar API</title><link rel="stylesheet" href="docs/assets/swagger-ui.css"></head>
<body><div id="ui"></div><script src="docs/assets/swagger-ui-bundle.js"></script><script src="docs/start.js"></script></body></html>`

const start = `SwaggerUIBundle({ url: 'openapi.json', dom_id: '#ui', deepLinking: true, persistAuthorization: false })`

/** Where Swagger UI's files are: beside the bundle in an image, else in the package. */
function assetsFolder(): string {
  const beside = fileURLToPath(new URL('swagger-ui', import.meta.url))
  if (existsSync(beside)) return beside
  return path.dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'))
}

export function createDocs(document: object): Router {
  const router = Router()
  const assets = assetsFolder()
  router.get('/api/openapi.json', (_req, res) => void res.json(document))
  router.get('/api/docs', (_req, res) => void res.type('html').send(page))
  router.get('/api/docs/start.js', (_req, res) => void res.type('js').send(start))
  for (const file of ['swagger-ui.css', 'swagger-ui-bundle.js']) {
    router.use(`/api/docs/assets/${file}`, express.static(path.join(assets, file), { maxAge: '1d' }))
  }
  return router
}
