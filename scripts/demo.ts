/**
 * `npm run demo`: the main job without a phone. Two accounts are provisioned over REST, simulated phones scan their
 * QRs, texts go both ways and to a contact that answers, the ticks come back, and a session's log is read. Only the
 * public API and the WebSocket are used; the simulator plays WhatsApp and the phones.
 */
import { mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { parseArgs } from 'node:util'
import QRCode from 'qrcode'
import { chooseRuntime } from '../harness/engine.ts'
import { pairAccount } from '../harness/pairing.ts'
import { type EventStream, openEvents, type PalomarEvent } from '../harness/palomar-client.ts'
import { type Stack, startStack } from '../harness/stack.ts'

const { values: args } = parseArgs({
  options: {
    once: { type: 'boolean', default: false },
    runtime: { type: 'string' },
    addressing: { type: 'string', default: 'pn' },
  },
})
if (args.addressing !== 'pn' && args.addressing !== 'lid') throw new Error('--addressing is pn or lid')

const say = (text: string) => console.log(text)
const runtime = await chooseRuntime(args.runtime)
const dataDir = path.resolve(process.env.PALOMAR_DATA_DIR ?? '.palomar', `demo-${process.pid}`)

interface Sent {
  id: string
  status: string
}

async function sendText(stack: Stack, from: string, to: string, body: string): Promise<Sent> {
  const sent = await stack.client.ok<Sent>('POST', '/api/messages', {
    account_id: from,
    to,
    type: 'text',
    text: { body },
  })
  if (sent.status === 'pending') throw new Error(`the message to ${to} was not acknowledged in time`)
  return sent
}

const ofMessage = (type: string, id: string) => (event: PalomarEvent) =>
  event.type === type && (event.data as { message?: { id?: string } }).message?.id === id

const received = (accountId: string, body: string) => (event: PalomarEvent) =>
  event.type === 'message.received' &&
  event.account_id === accountId &&
  (event.data as { message?: { text?: { body?: string } } }).message?.text?.body === body

async function run(stack: Stack, events: EventStream) {
  const { client, simulator } = stack
  const onQr = async (qr: string, id: string) => {
    say(await QRCode.toString(qr, { type: 'terminal', small: true, errorCorrectionLevel: 'L' }))
    say(
      `  as a picture: curl -H 'Authorization: Bearer ${client.key}' -H 'Accept: image/png' ${client.url}/api/accounts/${id}/session/qr > qr.png`,
    )
    say('  … a simulated phone scans it')
  }
  say('\nTwo accounts:')
  const ana = await pairAccount(stack, events, 'Ana', { onQr })
  const rui = await pairAccount(stack, events, 'Rui', { onQr })
  for (const { name, phone, qrMs, connectMs } of [ana, rui]) {
    say(
      `  ${name} is +${phone}: QR after ${Math.round(qrMs)} ms, connected ${Math.round(connectMs)} ms after the scan`,
    )
  }

  say('\nTexts, each way, and to a contact that reads and answers:')
  const contact = await simulator.admin.addContact({
    name: 'Eva',
    behaviour: { reads: true, types: true, answers: {} },
  })
  const sendTimes: number[] = []
  const texts: [typeof ana, string, string, string][] = [
    [ana, rui.phone, rui.id, 'Hello Rui'],
    [rui, ana.phone, ana.id, 'Hello Ana, all well?'],
    [ana, contact.phone, '', 'Good morning, Eva'],
    [rui, contact.phone, '', 'Are you there?'],
  ]
  for (const [from, to, toAccount, body] of texts) {
    const began = performance.now()
    const sent = await sendText(stack, from.id, `+${to}`, body)
    sendTimes.push(performance.now() - began)
    await events.waitFor(`delivery of "${body}"`, ofMessage('message.delivered', sent.id))
    if (toAccount) await events.waitFor(`"${body}" at the other account`, received(toAccount, body))
    else {
      await events.waitFor(`read receipt of "${body}"`, ofMessage('message.read', sent.id))
      await events.waitFor(`answer to "${body}"`, received(from.id, `echo: ${body}`))
    }
    const message = await client.ok<Sent>('GET', `/api/messages/${sent.id}`)
    say(`  ${from.name} → +${to}: "${body}"  ${message.status}${toAccount ? ', received' : ', answered'}`)
  }

  say(`\nThe last lines of Ana's ${runtime === 'docker' ? 'container' : 'process'}:`)
  const log = await client.ok<string>('GET', `/api/accounts/${ana.id}/logs?tail=5`)
  say(String(log).trimEnd().replace(/^/gm, '  '))

  const count = (type: string) => events.events.filter((event) => event.type === type).length
  const median = (values: number[]) =>
    Math.round(values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0)
  return {
    demo: 'ok',
    runtime,
    accounts: 2,
    sent: count('message.sent'),
    delivered: count('message.delivered'),
    read: count('message.read'),
    received: count('message.received'),
    ws_events: events.events.length,
    qr_ms: median([ana.qrMs, rui.qrMs]),
    connect_ms: median([ana.connectMs, rui.connectMs]),
    send_ms: median(sendTimes),
    account: ana,
    contact,
  }
}

function guide(stack: Stack, accountId: string, phone: string): string {
  const { url, key } = stack.client
  return `
It stays up. To try, in another terminal:

  export KEY=${key}
  # send a text to Eva, who answers
  curl -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' ${url}/api/messages \\
    -d '{"account_id":"${accountId}","to":"+${phone}","type":"text","text":{"body":"Hi"}}'
  # read the conversation
  curl -H "Authorization: Bearer $KEY" "${url}/api/conversations/${phone}/messages?account_id=${accountId}"
  # follow the session's log
  curl -NH "Authorization: Bearer $KEY" "${url}/api/accounts/${accountId}/logs?tail=20&follow=true"
  # all of the API
  open ${url}/api/docs

Ctrl-C ends it and removes everything.`
}

say(
  `Palomar demo: Postgres, a simulated WhatsApp and the orchestrator start; each session is a ${runtime === 'docker' ? 'container' : 'process'}.`,
)
await mkdir(dataDir, { recursive: true })
let stack: Stack | undefined
let failed = false
const interrupted = new Promise<void>((resolve) => {
  process.once('SIGINT', resolve)
  process.once('SIGTERM', resolve)
})
try {
  stack = await startStack({
    runtime,
    addressing: args.addressing,
    dataDir,
    installation: `palomar-demo-${process.pid}`,
  })
  const events = await openEvents(stack.client)
  const { account, contact, ...line } = await run(stack, events)
  if (!args.once) say(guide(stack, account.id, contact.phone))
  console.log(JSON.stringify(line))
  if (!args.once) await interrupted
  events.close()
} catch (error) {
  failed = true
  console.error(error)
} finally {
  await stack?.close()
  await rm(dataDir, { recursive: true, force: true })
}
process.exit(failed ? 1 : 0)
