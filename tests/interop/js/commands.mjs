// The commands of ../README.md on a js-libp2p node.
import { createHash } from 'node:crypto'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'
import { measure } from './perf.mjs'
import { chunksOf, ECHO_PROTOCOL, send, serveEcho, serveRelay } from './node.mjs'

const PING_COUNT_MAX = 10000
const PROVIDERS_MAX = 256
const REPLY_BYTES_MAX = 1 << 20
const ECHO_STREAMS_MAX = 4096
const ECHO_BYTES_MAX = 256 << 20
const ECHO_PATTERN_PERIOD = 251
const WRITE_BYTES = 64 << 10

function peerIdOfAddr (text) {
  const addr = multiaddr(text ?? '')
  const last = addr.getComponents().at(-1)
  if (last?.name !== 'p2p') {
    throw new Error(`addr: ${text} does not end in /p2p`)
  }
  return { addr, peerId: peerIdFromString(last.value) }
}

// The connection a command works on, by peer_id (must exist) or by addr (dialled where needed).
async function target (node, request, signal) {
  if (request.peer_id !== undefined) {
    const [connection] = node.getConnections(peerIdFromString(request.peer_id))
    if (connection === undefined) {
      throw new Error(`not connected to ${request.peer_id}`)
    }
    return connection
  }
  const { addr } = peerIdOfAddr(request.addr)
  const known = node.getConnections().length
  const connection = await node.dial(addr, { signal })
  if (node.getConnections().length !== known) {
    // A dial ends before identify; like the other implementations, connect ends after it.
    await node.services.identify.identify(connection, { signal }).catch(() => {})
  }
  return connection
}

const texts = (addrs) => addrs.map(String).sort()
const infoAnswer = (info) => ({ peer_id: info.id.toString(), addrs: texts(info.multiaddrs) })

async function connect (node, request, signal) {
  if (request.addr === undefined) {
    throw new Error('connect needs addr')
  }
  const connection = await target(node, request, signal)
  return { peer_id: connection.remotePeer.toString() }
}

async function identify (node, request, signal) {
  const connection = await target(node, request, signal)
  // Throws when the public key or a signed peer record is not the peer's own.
  const result = await node.services.identify.identify(connection, { signal })
  return {
    peer_id: result.peerId.toString(),
    agent_version: result.agentVersion ?? '',
    protocol_version: result.protocolVersion ?? '',
    protocols: [...result.protocols].sort(),
    listen_addrs: texts(result.listenAddrs),
    observed_addr: result.observedAddr?.toString() ?? '',
    public_key_matches: true,
    signed_peer_record: result.signedPeerRecord === undefined ? 'none' : 'valid',
    signed_addrs: texts(result.signedPeerRecord?.addresses ?? [])
  }
}

async function known (node, request) {
  const peer = await node.peerStore.get(peerIdFromString(request.peer_id))
  return {
    peer_id: peer.id.toString(),
    protocols: [...peer.protocols].sort(),
    addrs: texts(peer.addresses.map(({ multiaddr }) => multiaddr)),
    agent_version: new TextDecoder().decode(peer.metadata.get('AgentVersion') ?? new Uint8Array()),
    signed_record: peer.peerRecordEnvelope !== undefined
  }
}

async function addProtocol (node, request) {
  if (request.protocol === undefined) {
    throw new Error('add_protocol needs protocol')
  }
  await serveEcho(node, request.protocol)
  return {}
}

async function ping (node, request, signal) {
  if (!(request.count >= 1 && request.count <= PING_COUNT_MAX)) {
    throw new Error(`count must be 1 to ${PING_COUNT_MAX}`)
  }
  const connection = await target(node, request, signal)
  const rtts = []
  for (let i = 0; i < request.count; i++) {
    const start = process.hrtime.bigint()
    await node.services.ping.ping(connection.remotePeer, { signal })
    rtts.push(Number(process.hrtime.bigint() - start) / 1000)
  }
  return { rtts_us: rtts }
}

// Writes all of data and finishes, while reading until the other side has finished.
async function exchange (stream, data, bytesMax, signal) {
  const write = async () => {
    for (let offset = 0; offset < data.length; offset += WRITE_BYTES) {
      await send(stream, data.subarray(offset, offset + WRITE_BYTES), { signal })
    }
    await stream.close({ signal })
  }
  const read = async () => {
    const chunks = []
    let bytes = 0
    for await (const chunk of chunksOf(stream)) {
      bytes += chunk.byteLength
      if (bytes > bytesMax) {
        throw new Error(`more than ${bytesMax} bytes came back`)
      }
      chunks.push(chunk.subarray())
    }
    return Buffer.concat(chunks)
  }
  const abort = () => { stream.abort(signal.reason) }
  signal.addEventListener('abort', abort)
  try {
    const [reply] = await Promise.all([read(), write()])
    signal.throwIfAborted()
    return reply
  } catch (error) {
    stream.abort(error)
    throw error
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

async function echoOnce (connection, data, signal) {
  const stream = await connection.newStream(ECHO_PROTOCOL, {
    signal, maxOutboundStreams: 256, runOnLimitedConnection: true
  })
  const reply = await exchange(stream, data, data.length, signal)
  if (reply.length !== data.length) {
    throw new Error(`${reply.length} bytes came back of ${data.length}`)
  }
  return createHash('sha256').update(reply).digest('hex')
}

async function echo (node, request, signal) {
  const { size = 0, streams = 1, parallel = 1 } = request
  if (streams > ECHO_STREAMS_MAX || size < 0 || size > ECHO_BYTES_MAX) {
    throw new Error('streams or size out of range')
  }
  const connection = await target(node, request, signal)
  const data = Buffer.alloc(size)
  for (let i = 0; i < size; i++) {
    data[i] = i % ECHO_PATTERN_PERIOD
  }
  const hashes = new Set()
  let started = 0
  const worker = async () => {
    while (started < streams) {
      started++
      hashes.add(await echoOnce(connection, data, signal))
    }
  }
  await Promise.all(Array.from({ length: Math.max(parallel, 1) }, worker))
  if (hashes.size !== 1) {
    throw new Error('streams came back different from each other')
  }
  return { size, streams, sha256: [...hashes][0] }
}

async function perf (node, request, signal) {
  const connection = await target(node, request, signal)
  return await measure(connection, request.up ?? 0, request.down ?? 0, signal)
}

async function openStream (node, request, signal) {
  const connection = await target(node, request, signal)
  const stream = await connection.newStream(request.protocol, { signal })
  const data = Buffer.from(request.hex ?? '', 'hex')
  const reply = await exchange(stream, data, REPLY_BYTES_MAX, signal)
  return { protocol: stream.protocol, hex: reply.toString('hex') }
}

// The CID of a tag: raw, sha2-256 of its UTF-8 bytes.
async function tagCid (tag) {
  if (typeof tag !== 'string' || tag === '') {
    throw new Error('key is empty')
  }
  return CID.createV1(raw.code, await sha256.digest(new TextEncoder().encode(tag)))
}

async function provide (node, request, signal) {
  const cid = await tagCid(request.key)
  await node.contentRouting.provide(cid, { signal })
  return { cid: cid.toString() }
}

async function findProviders (node, request, signal) {
  const cid = await tagCid(request.key)
  if (!(request.count >= 1 && request.count <= PROVIDERS_MAX)) {
    throw new Error(`count must be 1 to ${PROVIDERS_MAX}`)
  }
  const providers = new Map()
  try {
    for await (const found of node.contentRouting.findProviders(cid, { signal })) {
      providers.set(found.id.toString(), infoAnswer(found))
      if (providers.size >= request.count) {
        break
      }
    }
  } catch (error) {
    if (providers.size === 0) {
      throw error
    }
  }
  return { cid: cid.toString(), providers: [...providers.values()] }
}

async function findPeer (node, request, signal) {
  return infoAnswer(await node.peerRouting.findPeer(peerIdFromString(request.peer_id), { signal }))
}

async function putValue (node, request, signal) {
  const value = request.hex === undefined
    ? new TextEncoder().encode(request.value ?? '')
    : Buffer.from(request.hex, 'hex')
  await node.contentRouting.put(new TextEncoder().encode(request.key), value, { signal })
  return {}
}

async function getValue (node, request, signal) {
  const key = new TextEncoder().encode(request.key)
  const value = Buffer.from(await node.contentRouting.get(key, { signal }))
  return { hex: value.toString('hex'), value: value.toString() }
}

function routingTable (node) {
  const peers = []
  const walk = (bucket) => {
    if (bucket === undefined) {
      return
    }
    bucket.peers?.forEach(({ peerId }) => peers.push(peerId.toString()))
    walk(bucket.left)
    walk(bucket.right)
  }
  walk(node.services.dht.routingTable.kb.root)
  return { peers: peers.sort() }
}

function peers (node) {
  return {
    peers: node.getConnections().map((connection) => ({
      peer_id: connection.remotePeer.toString(),
      addr: connection.remoteAddr.toString(),
      direction: connection.direction,
      security: connection.encryption ?? '',
      muxer: connection.multiplexer ?? ''
    }))
  }
}

async function closePeer (node, request, signal) {
  const peerId = request.peer_id === undefined
    ? peerIdOfAddr(request.addr).peerId
    : peerIdFromString(request.peer_id)
  const closed = node.getConnections(peerId).length
  await node.hangUp(peerId, { signal })
  return { closed }
}

function stats (node) {
  const connections = node.getConnections()
  return {
    connections: connections.length,
    streams: connections.reduce((sum, connection) => sum + connection.streams.length, 0),
    routing_table: node.services.dht.routingTable.size,
    heap_bytes: process.memoryUsage().heapUsed
  }
}

// Whom mDNS has found.
async function discovered (node) {
  return { peers: [...node.discovered.values()].map(infoAnswer) }
}

async function relay (node, request) {
  if (!(request.size >= 1)) {
    throw new Error('serve_relay needs size')
  }
  await serveRelay(node, request.size)
  return {}
}

async function reserve (node, request) {
  const { addr, peerId } = peerIdOfAddr(request.addr)
  const manager = node.components.transportManager
  const store = manager.getTransports().find(({ reservationStore }) => reservationStore !== undefined)
    .reservationStore
  if (store.hasReservation(peerId)) {
    await store.addRelay(peerId, 'configured')
  } else {
    await manager.listen([addr.encapsulate('/p2p-circuit')])
  }
  return { addrs: texts(node.getMultiaddrs()).filter((text) => text.includes('/p2p-circuit')) }
}

export const commands = {
  connect,
  identify,
  known,
  add_protocol: addProtocol,
  discovered,
  ping,
  echo,
  perf,
  open_stream: openStream,
  provide,
  find_providers: findProviders,
  find_peer: findPeer,
  put_value: putValue,
  get_value: getValue,
  routing_table: routingTable,
  peers,
  close: closePeer,
  serve_relay: relay,
  reserve,
  stats
}
