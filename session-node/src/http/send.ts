import type { IncomingMessage, ServerResponse } from 'node:http'
import { type SendResult, sendCommand, sendResult } from '../../contract/index.ts'
import { NodeError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import type { Session } from '../session.ts'
import { tokenCheck } from './authenticate.ts'
import { createRefuse } from './error-handler.ts'
import { isPlainJson, readJson, writeJson } from './json-body.ts'

export interface SendOptions {
  token: string
  /** undefined until the node has attached */
  session: () => Session | undefined
  logger: Logger
}

/** a message, from the command's body to its result */
export const send = async (session: SendOptions['session'], body: unknown): Promise<SendResult> => {
  const command = sendCommand.parse(body)
  return sendResult.parse(await attached(session).sender.send(command))
}

export const attached = (session: SendOptions['session']): Session => {
  const known = session()
  if (!known) throw new NodeError('not_connected', 'The node has not attached yet')
  return known
}

/**
 * `POST /messages` on bare `node:http`: every message comes this way, and with V8 told to stay small Express would cost
 * it some 0.2 ms of CPU. False when the request is not quite what the orchestrator sends (another path, token or kind of
 * body, or too much of it): nothing of it has been read then, and Express, which has this route too, says what is wrong.
 */
export const createSendHandler = ({ token, session, logger }: SendOptions) => {
  const isAuthorized = tokenCheck(token)
  const refuse = createRefuse(logger)

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    try {
      writeJson(response, 200, await send(session, await readJson(request)))
    } catch (error) {
      refuse(error, '/messages', response)
    }
  }

  return (request: IncomingMessage, response: ServerResponse): boolean => {
    if (request.method !== 'POST' || request.url !== '/messages') return false
    if (!isAuthorized(request) || !isPlainJson(request)) return false
    void answer(request, response)
    return true
  }
}
