// libp2p perf, both sides: 8 bytes say how much is wanted back, then comes the upload, then the
// download. Spec: libp2p/specs perf/perf.md.
import { chunksOf, send } from './node.mjs'

const PERF_PROTOCOL = '/perf/1.0.0'
const HEADER_SIZE = 8
const ZEROS = new Uint8Array(64 << 10)

async function sendZeros (stream, count, options) {
  while (count > 0) {
    const size = Math.min(count, ZEROS.length)
    await send(stream, size === ZEROS.length ? ZEROS : ZEROS.subarray(0, size), options)
    count -= size
  }
}

async function serve (stream) {
  try {
    const header = Buffer.alloc(HEADER_SIZE)
    let received = 0
    for await (const chunk of chunksOf(stream)) {
      if (received < HEADER_SIZE) {
        header.set(chunk.subarray(0, HEADER_SIZE - received), received)
      }
      received += chunk.byteLength
    }
    if (received < HEADER_SIZE) {
      throw new Error('the upload ended within its header')
    }
    await sendZeros(stream, Number(header.readBigUInt64BE()))
    await stream.close()
  } catch (error) {
    stream.abort(error)
  }
}

export async function servePerf (node) {
  await node.handle(PERF_PROTOCOL, serve)
}

// The upload ends when the answer begins.
export async function measure (connection, up, down, signal) {
  const started = performance.now()
  const stream = await connection.newStream(PERF_PROTOCOL, { signal })
  const abort = () => { stream.abort(signal.reason) }
  signal.addEventListener('abort', abort)
  let uploaded
  const read = async () => {
    let received = 0
    for await (const chunk of chunksOf(stream)) {
      uploaded ??= performance.now()
      received += chunk.byteLength
    }
    uploaded ??= performance.now()
    if (received !== down) {
      throw new Error(`${received} bytes came of ${down}`)
    }
  }
  const write = async () => {
    const header = Buffer.alloc(HEADER_SIZE)
    header.writeBigUInt64BE(BigInt(down))
    await send(stream, header, { signal })
    await sendZeros(stream, up, { signal })
    await stream.close({ signal })
  }
  try {
    await Promise.all([read(), write()])
    return {
      up_us: Math.round((uploaded - started) * 1000),
      down_us: Math.round((performance.now() - uploaded) * 1000)
    }
  } catch (error) {
    stream.abort(error)
    throw error
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
