/* The demonstration module: writes standard input reversed, character by character (Unicode code
 * points; a final newline stays last), or "Hello, World" reversed when standard input is empty.
 *
 * It talks to WASI preview 1 without stdio and keeps its input in the memory behind its own data,
 * so that the whole module is about a kilobyte. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <wasi/api.h>

#define INPUT_SIZE_MAX ((size_t)16 * 1024 * 1024)
#define PAGE_SIZE      ((size_t)65536)
#define FD_INPUT       0
#define FD_OUTPUT      1
#define FD_ERROR       2

/* Where the linker's own data ends; nothing else allocates, so all memory behind it is ours. */
extern uint8_t __heap_base;

struct text {
    uint8_t *data;
    size_t size;
};

static bool write_all(__wasi_fd_t fd, const uint8_t *data, size_t size) {
    while (size > 0) {
        const __wasi_ciovec_t block = {.buf = data, .buf_len = size};
        size_t written = 0;
        if (__wasi_fd_write(fd, &block, 1, &written) != 0 || written == 0) {
            return false;
        }
        data += written;
        size -= written;
    }
    return true;
}

/* Says why on standard error; returns the exit code. */
static int fail(const char *reason) {
    (void)write_all(FD_ERROR, (const uint8_t *)reason, strlen(reason));
    return 1;
}

/* Makes room for at least one more byte. Doubles what there is, so that a large input costs few
 * calls; where the host refuses that much, one page is enough to go on. */
static bool grow(size_t *room) {
    const size_t doubling = *room / PAGE_SIZE + 1;
    for (size_t pages = doubling;; pages = 1) {
        if (__builtin_wasm_memory_grow(0, pages) != SIZE_MAX) {
            *room += pages * PAGE_SIZE;
            return true;
        }
        if (pages == 1) {
            return false;
        }
    }
}

/* Returns 0, or the exit code once the reason is on standard error. */
static int read_all(struct text *ret_input) {
    struct text input = {.data = &__heap_base, .size = 0};
    size_t room = __builtin_wasm_memory_size(0) * PAGE_SIZE - (size_t)(uintptr_t)&__heap_base;
    for (;;) {
        if (input.size == room && !grow(&room)) {
            return fail("hello: no memory for so much standard input\n");
        }
        const __wasi_iovec_t block = {.buf = input.data + input.size, .buf_len = room - input.size};
        size_t received = 0;
        if (__wasi_fd_read(FD_INPUT, &block, 1, &received) != 0) {
            return fail("hello: cannot read standard input\n");
        }
        if (received == 0) {
            *ret_input = input;
            return 0;
        }
        input.size += received;
        if (input.size > INPUT_SIZE_MAX) {
            return fail("hello: standard input is larger than 16 MiB\n");
        }
    }
}

/* Bytes of the character that begins at `at`: 1 to 4 for well-formed UTF-8 (RFC 3629), 1 for a byte
 * that is none, so that it is moved as it is. */
static size_t character_size(const uint8_t *at, size_t left) {
    const uint8_t lead = at[0];
    size_t size = lead < 0xc2 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 1;
    if (size == 1 || size > left) {
        return 1;
    }
    /* Overlong forms, surrogates and what lies above U+10FFFF show in the second byte. */
    const uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high) {
        return 1;
    }
    for (size_t i = 2; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 1;
        }
    }
    return size;
}

static void reverse_bytes(uint8_t *data, size_t size) {
    for (size_t i = 0; i < size / 2; i++) {
        const uint8_t byte = data[i];
        data[i] = data[size - 1 - i];
        data[size - 1 - i] = byte;
    }
}

/* In place: each character backwards, then everything backwards. */
static void reverse_characters(struct text text) {
    for (size_t at = 0; at < text.size;) {
        const size_t size = character_size(text.data + at, text.size - at);
        reverse_bytes(text.data + at, size);
        at += size;
    }
    reverse_bytes(text.data, text.size);
}

/* Size of the line end that the text closes with. */
static size_t final_newline_size(struct text text) {
    if (text.size == 0 || text.data[text.size - 1] != '\n') {
        return 0;
    }
    return text.size > 1 && text.data[text.size - 2] == '\r' ? 2 : 1;
}

int main(void) {
    static uint8_t greeting[] = "Hello, World";
    struct text text;
    const int error = read_all(&text);
    if (error != 0) {
        return error;
    }
    if (text.size == 0) {
        text = (struct text){.data = greeting, .size = sizeof(greeting) - 1};
    }
    reverse_characters(
        (struct text){.data = text.data, .size = text.size - final_newline_size(text)});
    if (!write_all(FD_OUTPUT, text.data, text.size)) {
        return fail("hello: cannot write standard output\n");
    }
    return 0;
}
