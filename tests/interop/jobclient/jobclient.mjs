// A job client on js-libp2p, written from docs/spec/ alone: finds a worker through the DHT, runs a
// module on it and checks the receipt. It shares nothing with libplasm, and takes even the protobuf
// schemas from the pages themselves.
//
// Usage: jobclient.mjs BOOTSTRAP_MULTIADDR SPEC_DIRECTORY MODULE_FILE STDIN_FILE
// Prints one JSON object; anything that does not hold is an error and exit code 1.
import './polyfill.mjs'
import assert from 'node:assert/strict'
import { createHash, createPublicKey, randomBytes, randomUUID, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { quic } from '@chainsafe/libp2p-quic'
import { identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { ping } from '@libp2p/ping'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { base58btc } from 'multiformats/bases/base58'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import protobuf from 'protobufjs'

const KAD_PROTOCOL = '/phase/kad/1.0.0'
const CAPABILITY_PROTOCOL = '/phase/capability/1.0.0'
const JOB_PROTOCOL = '/phase/job/1.0.0'
const MODULE_IN_OFFER_MAX = 12288
const CHUNK_MAX = 60000
const RAW_CODEC = 0x55
const LIMITS = { fuel: 0, memory_bytes: 134217728, output_bytes: 1048576, wall_ms: 30000 }
const SEARCH_MS = 20000

// The messages of the protobuf blocks on a page of the specification.
function schemaOf (page) {
  const blocks = readFileSync(page, 'utf8').matchAll(/```protobuf\n(.*?)```/gs)
  const root = new protobuf.Root()
  for (const [, block] of blocks) {
    protobuf.parse(block, root, { keepCase: true })
  }
  return root
}

// -- canonical-json.md -----------------------------------------------------------------------------

function sorted (value) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    return value
  }
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]))
}

const canonical = (value) => Buffer.from(JSON.stringify(sorted(value)))
const hashOf = (bytes) => 'sha256:' + createHash('sha256').update(bytes).digest('hex')

function ed25519Holds (key, message, signature) {
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), key])
  return verify(null, message, createPublicKey({ key: spki, format: 'der', type: 'spki' }), signature)
}

// -- frames: a uvarint length, then the message ------------------------------------------------------

function framed (bytes) {
  return Buffer.from(protobuf.Writer.create().bytes(bytes).finish())
}

async function * framesOf (stream) {
  let held = Buffer.alloc(0)
  for await (const chunk of stream) {
    held = Buffer.concat([held, chunk.subarray()])
    while (held.length > 0) {
      const reader = protobuf.Reader.create(held)
      let size
      try {
        size = reader.uint32()
      } catch {
        break // the length is not complete
      }
      if (held.length < reader.pos + size) {
        break
      }
      yield held.subarray(reader.pos, reader.pos + size)
      held = held.subarray(reader.pos + size)
    }
  }
}

async function send (stream, bytes) {
  if (!stream.send(bytes)) {
    await stream.onDrain()
  }
}

// -- discovery.md ------------------------------------------------------------------------------------

async function findWorker (node, bootstrap) {
  await node.dial(multiaddr(bootstrap))
  const tag = Buffer.from('phase:worker:v1')
  const key = CID.createV1(RAW_CODEC, await sha256.digest(tag))
  const signal = AbortSignal.timeout(SEARCH_MS)
  while (!signal.aborted) {
    try {
      for await (const provider of node.contentRouting.findProviders(key, { signal })) {
        const addresses = provider.multiaddrs.map((address) =>
          address.toString().includes('/p2p/') ? address : address.encapsulate(`/p2p/${provider.id}`))
        await node.dial(addresses, { signal })
        return provider.id
      }
    } catch (error) {
      console.error('looking on:', error.message)
    }
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  throw new Error('no worker found')
}

async function readCapability (node, worker, key, spec) {
  const Envelope = schemaOf(`${spec}/discovery.md`).lookupType('Envelope')
  const stream = await node.dialProtocol(worker, CAPABILITY_PROTOCOL)
  await stream.close() // no record of our own: a pull
  const { value } = await framesOf(stream).next()
  const envelope = Envelope.decode(value)
  const sized = (bytes) => framed(Buffer.from(bytes))
  const signed = Buffer.concat([
    sized('phase-capability'), sized('/phase/capability/1'), sized(envelope.payload)])
  assert.equal(Buffer.from(envelope.payload_type).toString(), '/phase/capability/1')
  assert.deepEqual(Buffer.from(envelope.public_key.Data), key)
  assert.ok(ed25519Holds(key, signed, envelope.signature), 'the capability is not signed by the worker')
  const capability = JSON.parse(Buffer.from(envelope.payload).toString())
  assert.equal(capability.type, 'phase.capability/1')
  assert.equal(capability.worker, worker.toString())
  assert.ok(capability.expires > Date.now() / 1000 - 300, 'the capability is out of its time')
  return capability
}

// -- job.md ------------------------------------------------------------------------------------------

function makeManifest (module, stdin) {
  return {
    type: 'phase.job/1',
    arch: '',
    args: [],
    client_nonce: randomBytes(16).toString('hex'),
    env: [],
    expires: Math.floor(Date.now() / 1000) + 600,
    fetch_hash: '',
    job_id: randomUUID(),
    limits: LIMITS,
    module_hash: hashOf(module),
    module_size: module.length,
    profile: 'wasip1',
    runtime: '',
    stdin_hash: hashOf(stdin)
  }
}

async function sendChunks (stream, Frame, name, bytes) {
  for (let offset = 0; offset < bytes.length; offset += CHUNK_MAX) {
    const data = bytes.subarray(offset, offset + CHUNK_MAX)
    await send(stream, framed(Frame.encode({ [name]: { data } }).finish()))
  }
}

// Resolves to what `finished` brought, with the output that came before it.
async function runJob (stream, Frame, manifest, module, stdin) {
  const offer = { manifest: canonical(manifest), stdin_size: stdin.length, want_summary: true }
  if (module.length <= MODULE_IN_OFFER_MAX) {
    offer.module = module
  }
  await send(stream, framed(Frame.encode({ offer }).finish()))
  await sendChunks(stream, Frame, 'stdin', stdin)
  const output = { 1: [], 2: [] }
  let accepted = false
  let seq = 0
  for await (const bytes of framesOf(stream)) {
    const message = Frame.decode(bytes)
    const frame = Frame.toObject(message, { longs: Number, defaults: true, oneofs: true })
    if (frame.body === 'rejected') {
      throw new Error(`rejected (${frame.rejected.code}): ${frame.rejected.text}`)
    } else if (frame.body === 'need_module') {
      assert.ok(!accepted && offer.module === undefined, 'need_module out of order')
      await sendChunks(stream, Frame, 'module', module)
    } else if (frame.body === 'accepted') {
      assert.ok(!accepted, 'accepted twice')
      accepted = true
    } else if (frame.body === 'output') {
      assert.ok(accepted, 'output before accepted')
      assert.equal(frame.output.seq, seq++, 'output with a gap')
      output[frame.output.stream].push(Buffer.from(frame.output.data))
    } else if (frame.body === 'finished') {
      assert.ok(accepted, 'finished before accepted')
      await stream.close()
      return { ...frame.finished, stdout: Buffer.concat(output[1]), stderr: Buffer.concat(output[2]) }
    } else {
      assert.equal(frame.body, 'progress', 'an unknown frame')
    }
  }
  throw new Error('the stream ended before the job')
}

// -- receipt.md, "Verification" ----------------------------------------------------------------------

const RECEIPT_MEMBERS = ['arch', 'client_nonce', 'exit_code', 'fuel', 'input_hash', 'job_id',
  'manifest_hash', 'module_hash', 'prev', 'profile', 'result_hash', 'runtime', 'started_ms', 'status',
  'stderr_hash', 'stdout_hash', 'type', 'wall_time_ms', 'wall_time_us', 'worker']

function verifyReceipt (result, manifest, key) {
  const receipt = JSON.parse(Buffer.from(result.receipt).toString())
  assert.equal(receipt.type, 'phase.receipt/1')
  assert.deepEqual(Object.keys(receipt), RECEIPT_MEMBERS)
  assert.deepEqual(canonical(receipt), Buffer.from(result.receipt), 'the receipt is not canonical')
  for (const name of ['job_id', 'client_nonce', 'profile', 'module_hash']) {
    assert.equal(receipt[name], manifest[name], name)
  }
  assert.equal(receipt.manifest_hash, hashOf(canonical(manifest)))
  assert.equal(receipt.input_hash, manifest.stdin_hash)
  assert.equal(receipt.stdout_hash, hashOf(result.stdout))
  assert.equal(receipt.stderr_hash, hashOf(result.stderr))
  assert.deepEqual(receipt.prev, [])
  assert.equal(receipt.result_hash, '') // wasip1 has none
  const id = Buffer.concat([Buffer.from('002408011220', 'hex'), key])
  assert.equal(receipt.worker, base58btc.baseEncode(id))
  assert.deepEqual(Buffer.from(result.public_key), key)
  assert.ok(ed25519Holds(key, result.receipt, result.signature), 'the signature does not hold')
  const { exit_code, job_id, module_hash, wall_time_ms } = receipt // eslint-disable-line camelcase
  const summary = canonical({ exit_code, job_id, module_hash, wall_time_ms })
  assert.ok(ed25519Holds(key, summary, result.summary_signature), 'the summary does not hold')
  const forged = canonical({ ...receipt, exit_code: receipt.exit_code + 1 })
  assert.ok(!ed25519Holds(key, forged, result.signature), 'a forged receipt holds')
  return receipt
}

const [bootstrap, spec, moduleFile, stdinFile] = process.argv.slice(2)
const module = readFileSync(moduleFile)
const stdin = readFileSync(stdinFile)
const node = await createLibp2p({
  transports: [quic()],
  services: {
    identify: identify(),
    ping: ping(),
    dht: kadDHT({ protocol: KAD_PROTOCOL, clientMode: true, peerInfoMapper: passthroughMapper })
  }
})
try {
  const worker = await findWorker(node, bootstrap)
  const key = Buffer.from(worker.publicKey.raw) // out of the peer id that was dialled
  const capability = await readCapability(node, worker, key, spec)
  const Frame = schemaOf(`${spec}/job.md`).lookupType('Frame')
  const manifest = makeManifest(module, stdin)
  const stream = await node.dialProtocol(worker, JOB_PROTOCOL)
  const result = await runJob(stream, Frame, manifest, module, stdin)
  const receipt = verifyReceipt(result, manifest, key)
  console.log(JSON.stringify({
    worker: worker.toString(), capability, receipt, stdout: result.stdout.toString()
  }))
} finally {
  await node.stop()
}
