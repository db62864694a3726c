// Runs hello.wasm with a small host of its own and compares the output with an independent reversal.
// usage: node hello_test.mjs MODULE
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const bytes = readFileSync(process.argv[2]);
const compiled = new WebAssembly.Module(bytes);
const EIO = 29;

class Exit {
    constructor(code) {
        this.code = code;
    }
}

/** Runs the module on `input`; the host reads and writes at most `chunk` bytes at a time. */
function run(input, { chunk = Infinity, readError = 0, writeError = 0 } = {}) {
    const source = Buffer.from(input);
    const outputs = { 1: [], 2: [] };
    let position = 0;
    let memory;
    const firstBlock = (list) => {
        const view = new DataView(memory.buffer);
        const size = Math.min(view.getUint32(list + 4, true), chunk);
        return Buffer.from(memory.buffer, view.getUint32(list, true), size);
    };
    const answer = (pointer, size) => {
        new DataView(memory.buffer).setUint32(pointer, size, true);
        return 0;
    };
    const host = {
        fd_read(descriptor, list, count, sizePointer) {
            assert.deepEqual([descriptor, count], [0, 1]);
            const copied = source.copy(firstBlock(list), 0, position);
            position += copied;
            return readError || answer(sizePointer, copied);
        },
        fd_write(descriptor, list, count, sizePointer) {
            assert.equal(count, 1);
            const block = Buffer.from(firstBlock(list));
            if (descriptor === 1 && writeError) {
                return writeError;
            }
            outputs[descriptor].push(block);
            return answer(sizePointer, block.length);
        },
        proc_exit(code) {
            throw new Exit(code);
        },
    };
    const instance = new WebAssembly.Instance(compiled, { wasi_snapshot_preview1: host });
    memory = instance.exports.memory;
    let code = 0;
    try {
        instance.exports._start();
    } catch (thrown) {
        if (!(thrown instanceof Exit)) {
            throw thrown;
        }
        code = thrown.code;
    }
    const [output, error] = [Buffer.concat(outputs[1]), Buffer.concat(outputs[2]).toString()];
    return { code, output, error, memory_bytes: memory.buffer.byteLength };
}

/** The reversal, by JavaScript's own idea of characters. */
function reversed(text) {
    const newline = /\r?\n$/.exec(text)?.[0] ?? '';
    return [...text.slice(0, text.length - newline.length)].reverse().join('') + newline;
}

test('the module is small and imports only what it needs', () => {
    assert.ok(bytes.length <= 4096, `${bytes.length} bytes`);
    assert.deepEqual(
        WebAssembly.Module.imports(compiled).map(({ name }) => name).sort(),
        ['fd_read', 'fd_write', 'proc_exit'],
    );
});

test('empty input gives the greeting, without a newline', () => {
    const { code, output, error } = run('');
    assert.equal(output.toString(), 'dlroW ,olleH');
    assert.equal(code, 0);
    assert.equal(error, '');
});

for (const text of [
    'a', 'ab', 'Hello, World', 'abc\n', '\n', '\n\n', 'a\nb\n', '\r\n', 'abc\r\n', 'abc\r', 'größe',
    '日本語\n', 'a😀b', '\u0000x\u0000', '\u007f\u0080\u07ff\u0800\ud7ff\ue000\uffff\u{10000}\u{10ffff}',
]) {
    test(`reverses ${JSON.stringify(text)}`, () => {
        assert.equal(run(text).output.toString(), reversed(text));
    });
}

for (const [name, hex, expected] of [
    ['a lone continuation byte', '61 80 62', '62 80 61'],
    ['a lone lead byte at the end', '61 c3', 'c3 61'],
    ['a truncated sequence', '61 e2 82 62', '62 82 e2 61'],
    ['an overlong slash', '61 c0 af 62', '62 af c0 61'],
    ['an overlong three-byte form', '61 e0 9f bf 62', '62 bf 9f e0 61'],
    ['a surrogate', '61 ed a0 80 62', '62 80 a0 ed 61'],
    ['above U+10FFFF', '61 f4 90 80 80 62', '62 80 80 90 f4 61'],
    ['bytes that never occur', '61 ff fe f5 62', '62 f5 fe ff 61'],
    ['an invalid byte between valid characters', 'c3 a9 ff e2 82 ac', 'e2 82 ac ff c3 a9'],
]) {
    test(`moves ${name} byte by byte`, () => {
        const { output } = run(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
        assert.equal(output.toString('hex'), expected.replaceAll(' ', ''));
    });
}

test('the host may read and write as little as it likes', () => {
    const text = 'größe 日本語 😀\n';
    for (let chunk = 1; chunk <= Buffer.byteLength(text); chunk++) {
        assert.equal(run(text, { chunk }).output.toString(), reversed(text));
    }
});

test('a large input works, in memory bounded by it', () => {
    const text = 'grün 日本 😀 '.repeat(200_000) + 'end\n';
    const { output, memory_bytes } = run(text);
    assert.ok(output.equals(Buffer.from(reversed(text))));
    assert.ok(memory_bytes <= 3 * Buffer.byteLength(text));
});

test('the largest input works, one byte more is refused', () => {
    const size = 16 * 1024 * 1024;
    const largest = Buffer.alloc(size, 'ab');
    assert.ok(run(largest).output.equals(Buffer.from(largest).reverse()));
    const { code, output, error } = run(Buffer.alloc(size + 1, 'ab'));
    assert.equal(code, 1);
    assert.equal(output.length, 0);
    assert.equal(error, 'hello: standard input is larger than 16 MiB\n');
});

test('an input that cannot be read is an error', () => {
    const { code, output, error } = run('abc', { readError: EIO });
    assert.equal(code, 1);
    assert.equal(output.length, 0);
    assert.equal(error, 'hello: cannot read standard input\n');
});

test('an output that cannot be written is an error', () => {
    const { code, error } = run('abc', { writeError: EIO });
    assert.equal(code, 1);
    assert.equal(error, 'hello: cannot write standard output\n');
});
