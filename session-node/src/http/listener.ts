import type { RequestListener } from 'node:http'
import { type AppOptions, createApp } from './app.ts'
import { createSendHandler } from './send.ts'

/** What serves the node's requests: the way that every message goes first, then Express with all the rest. */
export const createListener = (options: AppOptions): RequestListener => {
  const app = createApp(options)
  const takesSend = createSendHandler(options)
  return (request, response) => {
    if (!takesSend(request, response)) app(request, response)
  }
}
