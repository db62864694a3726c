// A js-libp2p node that is driven by JSON lines on standard input, so that the tests can prove our
// protocols on an implementation nobody here wrote. The commands are defined in ../README.md.
import './polyfill.mjs'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'

// Only now: static imports would be loaded before the polyfill has run its body.
const { commands } = await import('./commands.mjs')
const { createNode } = await import('./node.mjs')

const TIMEOUT_MS_DEFAULT = 10000
const TIMEOUT_MS_MAX = 120000

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '/ip4/127.0.0.1/udp/0/quic-v1' },
    prefix: { type: 'string', default: '/phase' },
    mode: { type: 'string', default: 'server' },
    mdns: { type: 'boolean', default: false },
    security: { type: 'string', default: 'any' }
  }
})

function versionOf (name) {
  const url = new URL(`./node_modules/${name}/package.json`, import.meta.url)
  return JSON.parse(readFileSync(url, 'utf8')).version
}

function print (value) {
  process.stdout.write(JSON.stringify(value) + '\n')
}

async function answer (node, request) {
  const timeoutMs = Math.min(request.timeout_ms || TIMEOUT_MS_DEFAULT, TIMEOUT_MS_MAX)
  try {
    const command = Object.hasOwn(commands, request.cmd) ? commands[request.cmd] : undefined
    if (command === undefined) {
      throw new Error(`unknown command: "${request.cmd}"`)
    }
    const result = await command(node, request, AbortSignal.timeout(timeoutMs))
    print({ ...result, id: request.id, ok: true })
  } catch (error) {
    print({ id: request.id, ok: false, error: `${error.name}: ${error.message}` })
  }
}

const node = await createNode(options)
// A public address is not in the node's own list before somebody has confirmed it.
const listening = node.components.transportManager.getAddrs()
  .map((addr) => addr.encapsulate(`/p2p/${node.peerId}`))
const announced = node.getMultiaddrs()
print({
  event: 'listening',
  peer_id: node.peerId.toString(),
  addrs: (announced.length > 0 ? announced : listening).map(String),
  kad_protocol: `${options.prefix}/kad/1.0.0`,
  mode: options.mode,
  implementation: 'js-libp2p',
  version: versionOf('libp2p')
})

for await (const line of createInterface({ input: process.stdin })) {
  if (line === '') {
    continue
  }
  let request
  try {
    request = JSON.parse(line)
  } catch (error) {
    print({ id: null, ok: false, error: `bad request: ${error.message}` })
    continue
  }
  if (request.cmd === 'quit') {
    print({ id: request.id, ok: true })
    break
  }
  answer(node, request)
}

await node.stop()
process.exit(0)
