/**
 * A session node of a few lines that speaks the contract over HTTP, and answers as a test wants: the real one cannot
 * be made to lose an answer, to answer late or to refuse with a chosen code at a chosen moment.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type NodeErrorCode, nodeErrors, type SendCommand, sendCommand } from '@palomar/session-node/contract'

export type Answer =
  | { ok: Partial<{ recipient: object; acked_at: number; repeated: boolean }> }
  | { error: NodeErrorCode; wa_code?: number }
  | { hangUp: true }

export interface ContractNode {
  address: string
  /** what was asked, in order; ids may repeat */
  commands: SendCommand[]
  /** how it answers from now on; may wait, and sees the command */
  answer: (command: SendCommand) => Answer | Promise<Answer>
  /** resolves once so many commands have come in all */
  asked(count: number): Promise<void>
  close(): Promise<void>
}

export const acknowledged = (): Answer => ({ ok: {} })

/** answers one after the other, the last one for ever */
export const inTurn =
  (...answers: Answer[]) =>
  () =>
    (answers.length > 1 ? answers.shift() : answers[0]) as Answer

export async function startContractNode(): Promise<ContractNode> {
  const waiting: { count: number; resolve: () => void }[] = []
  const node: ContractNode = {
    address: '',
    commands: [],
    answer: acknowledged,
    asked: (count) =>
      node.commands.length >= count
        ? Promise.resolve()
        : new Promise((resolve) => void waiting.push({ count, resolve })),
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  const server = createServer((req, res) => {
    serve(req, res).catch((error) => res.destroy(error))
  })

  async function serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    let body = ''
    for await (const chunk of req) body += chunk
    const command = sendCommand.parse(JSON.parse(body))
    node.commands.push(command)
    for (const { count, resolve } of waiting) if (node.commands.length >= count) resolve()
    const answer = await node.answer(command)
    if ('hangUp' in answer) return void res.destroy()
    if ('ok' in answer) {
      const ack = {
        id: command.id,
        acked_at: Math.floor(Date.now() / 1000),
        recipient: command.to,
        repeated: false,
      }
      return void json(res, 200, { ...ack, ...answer.ok })
    }
    const { status, title, retryable } = nodeErrors[answer.error]
    json(res, status, {
      type: 'about:blank',
      title,
      status,
      code: answer.error,
      wa_code: answer.wa_code,
      retryable,
    })
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address === 'object' && address) node.address = `http://127.0.0.1:${address.port}`
  return node
}

function json(res: ServerResponse, status: number, body: unknown): void {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
