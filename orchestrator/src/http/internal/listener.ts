/** What serves the nodes' requests: commits first, which are nearly all of them, then Express with the rest. */
import type { RequestListener } from 'node:http'
import { createInternalApp, type InternalApi } from './app.ts'
import { createCommitHandler } from './commits.ts'

export function createInternalListener(api: InternalApi): RequestListener {
  const app = createInternalApp(api)
  const takesCommit = createCommitHandler(api)
  return (req, res) => {
    if (!takesCommit(req, res)) app(req, res)
  }
}
