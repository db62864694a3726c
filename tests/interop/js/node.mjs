// The node itself: js-libp2p on QUIC and TCP, a Kademlia DHT under our own protocol prefix and an
// echo protocol.
import { servePerf } from './perf.mjs'
import { noise } from '@chainsafe/libp2p-noise'
import { quic } from '@chainsafe/libp2p-quic'
import { yamux } from '@chainsafe/libp2p-yamux'
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify, identifyPush } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { mdns } from '@libp2p/mdns'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { createLibp2p } from 'libp2p'

export const ECHO_PROTOCOL = '/phase/interop/echo/1.0.0'
const VALUE_NAMESPACE = 'interop'
const REFUSED_PREFIX = 'refuse:'
const ECHO_STREAMS_MAX = 256
const PING_STREAMS_MAX = 16

// Takes every value under /interop/ but those that ask to be refused.
function validate (_key, value) {
  if (Buffer.from(value).subarray(0, REFUSED_PREFIX.length).toString() === REFUSED_PREFIX) {
    throw new Error('the value asks to be refused')
  }
}

// Prefers the greatest value in byte order, so that all implementations select alike.
function select (_key, values) {
  let best = 0
  values.forEach((value, index) => {
    if (Buffer.compare(Buffer.from(value), Buffer.from(values[best])) > 0) {
      best = index
    }
  })
  return best
}

// The secure channels of TCP, by the name of the option.
const SECURITIES = { noise: [noise()], tls: [tls()], any: [noise(), tls()] }

export async function createNode ({ listen, prefix, mode, security, mdns: onLan }) {
  if (mode !== 'server' && mode !== 'client') {
    throw new Error(`mode "${mode}" is neither server nor client`)
  }
  if (SECURITIES[security] === undefined) {
    throw new Error(`security "${security}" is none of noise, tls and any`)
  }
  const discovered = new Map()
  const node = await createLibp2p({
    addresses: { listen: [listen] },
    transports: [quic(), tcp(), circuitRelayTransport()],
    connectionEncrypters: SECURITIES[security],
    streamMuxers: [yamux()],
    nodeInfo: { userAgent: 'interop-js/1' },
    peerDiscovery: onLan ? [(components) => listened(mdns()(components), discovered)] : [],
    services: {
      identify: identify(),
      identifyPush: identifyPush(),
      // The DHT and the connection monitor ping too, and one stream at a time is the default.
      ping: ping({ maxOutboundStreams: PING_STREAMS_MAX }),
      dht: kadDHT({
        protocol: `${prefix}/kad/1.0.0`,
        clientMode: mode === 'client',
        peerInfoMapper: passthroughMapper,
        // The first query of a node's life waits for this one: seconds would be lost in every test.
        initialQuerySelfInterval: 10,
        validators: { [VALUE_NAMESPACE]: validate },
        selectors: { [VALUE_NAMESPACE]: select }
      })
    }
  })
  await serveEcho(node, ECHO_PROTOCOL)
  await servePerf(node)
  node.discovered = discovered
  return node
}

// Makes the node a relay; a circuit carries so many bytes in each direction.
export async function serveRelay (node, bytes) {
  const make = circuitRelayServer({ reservations: { defaultDataLimit: BigInt(bytes) } })
  await make(node.components).start()
}

// Keeps whom mDNS finds, heard at the service itself: the node also reports whom the DHT talks of.
function listened (service, discovered) {
  service.addEventListener('peer', (event) => {
    discovered.set(event.detail.id.toString(), event.detail)
  })
  return service
}

export async function serveEcho (node, protocol) {
  await node.handle(protocol, echo, {
    maxInboundStreams: ECHO_STREAMS_MAX,
    maxOutboundStreams: ECHO_STREAMS_MAX,
    runOnLimitedConnection: true
  })
}

// Returns what it reads until the other side has finished writing.
async function echo (stream) {
  try {
    for await (const chunk of chunksOf(stream)) {
      await send(stream, chunk)
    }
    await stream.close()
  } catch (error) {
    stream.abort(error)
  }
}

export async function send (stream, chunk, options) {
  if (!stream.send(chunk)) {
    await stream.onDrain(options)
  }
}

// What arrives on a stream, until the other side has finished writing. The stream's own iterator
// (@libp2p/utils 7) waits for ever where data and FIN were there before it, as after a lazy
// negotiation: it listens for the event of the FIN alone, which is over by then.
export async function * chunksOf (stream) {
  const chunks = []
  let failure
  let wake = () => {}
  const listeners = {
    message: (event) => { chunks.push(event.data) },
    end: () => {},
    close: (event) => { failure = event.error }
  }
  const wakers = Object.entries(listeners).map(([name, listener]) => [name, (event) => {
    listener(event)
    wake()
  }])
  wakers.forEach(([name, waker]) => { stream.addEventListener(name, waker) })
  try {
    while (true) {
      if (chunks.length > 0) {
        yield chunks.shift()
      } else if (failure !== undefined || ['aborted', 'reset'].includes(stream.status)) {
        throw failure ?? new Error(`the stream was ${stream.status}`)
      } else if (stream.readBufferLength === 0 &&
          (stream.readableEnded || stream.status === 'closed')) {
        return
      } else {
        await new Promise((resolve) => { wake = resolve })
      }
    }
  } finally {
    wakers.forEach(([name, waker]) => { stream.removeEventListener(name, waker) })
  }
}
