/* Walks the sections of a module and measures what the compiler would have to chew on. */
#include "runner/sandbox/prescan.h"

#include <stdarg.h>
#include <stdio.h>

#include "util/cursor.h"

#define PAGE_BYTES 65536u

enum section_id { SECTION_FUNCTION = 3, SECTION_TABLE = 4, SECTION_MEMORY = 5, SECTION_CODE = 10 };

/* Value types that are followed by a heap type. */
enum { TYPE_REF_NULL = 0x63, TYPE_REF = 0x64, TYPE_FUNCREF = 0x70, TYPE_EXTERNREF = 0x6f };

/* Bits of a limit's flags. */
enum { LIMIT_HAS_MAX = 1, LIMIT_IS_64 = 4 };

struct scanner {
    struct prescan scan;
    uint64_t table_elements;
    int error;
    char *text; /* PRESCAN_TEXT_SIZE bytes */
};

PRINTF_FORMAT(3, 4)
static void refuse(struct scanner *scanner, int error, const char *format, ...) {
    if (scanner->error != 0) {
        return;
    }
    scanner->error = error;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(scanner->text, PRESCAN_TEXT_SIZE, format, arguments);
    va_end(arguments);
}

/* LEB128 of up to `bits` bits; unlike libp2p's, it may be longer than it must. */
static uint64_t leb128(struct cursor *cursor, unsigned bits) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < bits; shift += 7) {
        uint8_t byte = cursor_u8(cursor);
        uint64_t part = byte & 0x7f;
        if (shift + 7 > bits && part >> (bits - shift) != 0) {
            break;
        }
        value |= part << shift;
        if ((byte & 0x80) == 0) {
            return value;
        }
    }
    cursor_fail(cursor, PLASM_MALFORMED);
    return 0;
}

static uint32_t leb_u32(struct cursor *cursor) {
    return (uint32_t)leb128(cursor, 32);
}

/* Skips a signed LEB128: a heap type's index. */
static void skip_signed(struct cursor *cursor) {
    while ((cursor_u8(cursor) & 0x80) != 0) {
    }
}

static void skip_value_type(struct cursor *cursor) {
    uint8_t type = cursor_u8(cursor);
    if (type == TYPE_REF || type == TYPE_REF_NULL) {
        skip_signed(cursor);
    }
}

/* A limit's minimum. */
static uint64_t limit_minimum(struct cursor *cursor) {
    uint32_t flags = leb_u32(cursor);
    unsigned bits = (flags & LIMIT_IS_64) != 0 ? 64 : 32;
    uint64_t minimum = leb128(cursor, bits);
    if ((flags & LIMIT_HAS_MAX) != 0) {
        (void)leb128(cursor, bits);
    }
    return minimum;
}

static void scan_memories(struct scanner *scanner, struct cursor *section) {
    uint32_t count = leb_u32(section);
    for (uint32_t i = 0; i < count && section->error == 0; i++) {
        uint64_t pages = limit_minimum(section);
        if (pages > UINT64_MAX / PAGE_BYTES - scanner->scan.memory_min_bytes / PAGE_BYTES) {
            cursor_fail(section, PLASM_MALFORMED);
            return;
        }
        scanner->scan.memory_min_bytes += pages * PAGE_BYTES;
    }
}

static void scan_tables(struct scanner *scanner, struct cursor *section) {
    uint32_t count = leb_u32(section);
    for (uint32_t i = 0; i < count && section->error == 0; i++) {
        uint8_t type = cursor_u8(section);
        if (type != TYPE_FUNCREF && type != TYPE_EXTERNREF) {
            refuse(scanner, PLASM_UNSUPPORTED, "a table of typed references");
            return;
        }
        uint64_t elements = limit_minimum(section);
        if (elements > PRESCAN_TABLE_ELEMENTS_MAX - scanner->table_elements) {
            refuse(scanner, PLASM_TOO_LARGE, "its tables begin with more than %d elements",
                   PRESCAN_TABLE_ELEMENTS_MAX);
            return;
        }
        scanner->table_elements += elements;
    }
}

static void scan_functions(struct scanner *scanner, struct cursor *section) {
    scanner->scan.function_count = leb_u32(section);
    if (section->error == 0 && scanner->scan.function_count > PRESCAN_FUNCTIONS_MAX) {
        refuse(scanner, PLASM_TOO_LARGE, "it has %u functions, %d at most",
               scanner->scan.function_count, PRESCAN_FUNCTIONS_MAX);
    }
    section->left.size = 0;
}

static void scan_body(struct scanner *scanner, struct bytes body) {
    struct cursor cursor = cursor_of(body);
    uint32_t groups = leb_u32(&cursor);
    uint64_t locals = 0;
    for (uint32_t i = 0; i < groups && cursor.error == 0; i++) {
        locals += leb_u32(&cursor);
        skip_value_type(&cursor);
    }
    if (cursor.error != 0) {
        refuse(scanner, PLASM_MALFORMED, "a function's body ends early");
    } else if (locals > PRESCAN_LOCALS_MAX) {
        refuse(scanner, PLASM_TOO_LARGE, "a function has %llu local variables, %d at most",
               (unsigned long long)locals, PRESCAN_LOCALS_MAX);
    }
    if (locals > scanner->scan.locals_max) {
        scanner->scan.locals_max = locals;
    }
    if (body.size > scanner->scan.body_bytes_max) {
        scanner->scan.body_bytes_max = body.size;
    }
}

static void scan_code(struct scanner *scanner, struct cursor *section) {
    scanner->scan.code_bytes += section->left.size;
    uint32_t count = leb_u32(section);
    for (uint32_t i = 0; i < count && section->error == 0 && scanner->error == 0; i++) {
        struct bytes body = cursor_take(section, leb_u32(section));
        if (section->error == 0) {
            scan_body(scanner, body);
        }
    }
}

static void scan_section(struct scanner *scanner, uint8_t id, struct cursor *section) {
    switch (id) {
    case SECTION_FUNCTION:
        scan_functions(scanner, section);
        break;
    case SECTION_TABLE:
        scan_tables(scanner, section);
        break;
    case SECTION_MEMORY:
        scan_memories(scanner, section);
        break;
    case SECTION_CODE:
        scan_code(scanner, section);
        break;
    default:
        return;
    }
    if (section->error != 0) {
        refuse(scanner, PLASM_MALFORMED, "section %u ends early", id);
    }
}

static void scan_head(struct scanner *scanner, struct cursor *module) {
    static const uint8_t magic[] = {0x00, 0x61, 0x73, 0x6d};
    if (module->left.size == 0) {
        refuse(scanner, PLASM_MALFORMED, "the module is empty");
        return;
    }
    if (!bytes_equal(cursor_take(module, sizeof(magic)), BYTES_ARRAY(magic))) {
        refuse(scanner, PLASM_MALFORMED, "this is not a WebAssembly module");
        return;
    }
    uint32_t version = cursor_u32_little(module);
    if (module->error != 0) {
        refuse(scanner, PLASM_MALFORMED, "the module ends early");
    } else if (version >> 16 != 0) {
        refuse(scanner, PLASM_UNSUPPORTED, "this is a component; build a core module (wasip1)");
    } else if (version != 1) {
        refuse(scanner, PLASM_UNSUPPORTED, "WebAssembly binary version %u is not supported",
               version);
    }
}

int prescan(struct bytes module, struct prescan *ret_scan, char *ret_text) {
    struct scanner scanner = {.text = ret_text};
    struct cursor cursor = cursor_of(module);
    scan_head(&scanner, &cursor);
    while (scanner.error == 0 && cursor.left.size > 0) {
        uint8_t id = cursor_u8(&cursor);
        struct cursor section = cursor_of(cursor_take(&cursor, leb_u32(&cursor)));
        if (cursor.error != 0) {
            refuse(&scanner, PLASM_MALFORMED, "the module ends early");
            break;
        }
        scan_section(&scanner, id, &section);
    }
    if (scanner.error != 0) {
        return scanner.error;
    }
    scanner.scan.optimise = scanner.scan.body_bytes_max <= PRESCAN_OPTIMISED_BODY_BYTES_MAX &&
                            scanner.scan.code_bytes <= PRESCAN_OPTIMISED_CODE_BYTES_MAX;
    *ret_scan = scanner.scan;
    return 0;
}
