/* A small assembler: sections, LEB128, one body for all functions. */
#include "runner/module_testing.h"

#include "util/ensure.h"

#define MODULE_SIZE_MAX (64u * 1024 * 1024)

enum {
    TYPE = 1,
    IMPORT = 2,
    FUNCTION = 3,
    TABLE = 4,
    MEMORY = 5,
    EXPORT = 7,
    START = 8,
    CODE = 10
};

static void put(struct buffer *out, struct bytes bytes) {
    ENSURE(buffer_append(out, bytes) == 0);
}

static void put_byte(struct buffer *out, uint8_t byte) {
    put(out, bytes_of(&byte, 1));
}

static void put_number(struct buffer *out, uint32_t value) {
    while (value >= 0x80) {
        put_byte(out, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    put_byte(out, (uint8_t)value);
}

static void put_name(struct buffer *out, const char *name) {
    put_number(out, (uint32_t)strlen(name));
    put(out, bytes_of_string(name));
}

/* Moves `section` into the module. */
static void end_section(struct buffer *module, uint8_t id, struct buffer *section) {
    put_byte(module, id);
    put_number(module, (uint32_t)section->size);
    put(module, buffer_bytes(section));
    buffer_clear(section);
}

static void put_types(const struct module_plan *plan, struct buffer *module,
                      struct buffer *section) {
    put(section, plan->start_parameter ? BYTES_LITERAL("\x02\x60\x00\x00\x60\x01\x7f\x00")
                                       : BYTES_LITERAL("\x01\x60\x00\x00"));
    end_section(module, TYPE, section);
}

static void put_imports(const struct module_plan *plan, struct buffer *module,
                        struct buffer *section) {
    uint32_t count = (uint32_t)(plan->import_name != NULL) + plan->import_memory;
    if (count == 0) {
        return;
    }
    put_number(section, count);
    if (plan->import_name != NULL) {
        put_name(section, "wasi_snapshot_preview1");
        put_name(section, plan->import_name);
        put(section, BYTES_LITERAL("\x00\x00"));
    }
    if (plan->import_memory) {
        put_name(section, "env");
        put_name(section, "memory");
        put(section, BYTES_LITERAL("\x02\x00\x01"));
    }
    end_section(module, IMPORT, section);
}

static void put_table_and_memory(const struct module_plan *plan, struct buffer *module,
                                 struct buffer *section) {
    if (plan->table_elements > 0) {
        put_byte(section, 1);
        put_byte(section, plan->table_type != 0 ? plan->table_type : 0x70);
        put_byte(section, 0);
        put_number(section, plan->table_elements);
        end_section(module, TABLE, section);
    }
    if (!plan->no_memory && !plan->import_memory) {
        uint32_t count = plan->memory_count != 0 ? plan->memory_count : 1;
        put_number(section, count);
        for (uint32_t i = 0; i < count; i++) {
            put_number(section, plan->memory_flags);
            put_number(section, plan->memory_pages);
            if ((plan->memory_flags & 1) != 0) {
                put_number(section, plan->memory_pages);
            }
        }
        end_section(module, MEMORY, section);
    }
}

static void put_exports(const struct module_plan *plan, struct buffer *module,
                        struct buffer *section, uint32_t first_function) {
    put_number(section, (uint32_t)!plan->no_export + !plan->no_memory);
    if (!plan->no_export) {
        put_name(section, "_start");
        put_byte(section, 0);
        put_number(section, first_function);
    }
    if (!plan->no_memory) {
        put_name(section, "memory");
        put(section, BYTES_LITERAL("\x02\x00"));
    }
    end_section(module, EXPORT, section);
    if (plan->start_section) {
        put_number(section, first_function);
        end_section(module, START, section);
    }
}

static void put_code(const struct module_plan *plan, struct buffer *module, struct buffer *section,
                     struct buffer *body, uint32_t count) {
    put_number(body, plan->locals > 0 ? 1 : 0);
    if (plan->locals > 0) {
        put_number(body, plan->locals);
        put_byte(body, 0x7f);
    }
    put(body, plan->code);
    put_byte(body, 0x0b);
    put_number(section, count);
    for (uint32_t i = 0; i < count; i++) {
        put_number(section, (uint32_t)body->size);
        put(section, buffer_bytes(body));
    }
    end_section(module, CODE, section);
}

void module_build(const struct module_plan *plan, struct buffer *module) {
    struct buffer section;
    struct buffer body;
    uint32_t count = plan->function_count != 0 ? plan->function_count : 1;
    buffer_init(&section, module->memory, MODULE_SIZE_MAX);
    buffer_init(&body, module->memory, MODULE_SIZE_MAX);
    buffer_clear(module);
    put(module, BYTES_LITERAL("\0asm\1\0\0\0"));
    put_types(plan, module, &section);
    put_imports(plan, module, &section);
    put_number(&section, count);
    for (uint32_t i = 0; i < count; i++) {
        put_number(&section, plan->start_parameter && i == 0 ? 1 : 0);
    }
    end_section(module, FUNCTION, &section);
    put_table_and_memory(plan, module, &section);
    put_exports(plan, module, &section, plan->import_name != NULL ? 1 : 0);
    put_code(plan, module, &section, &body, count);
    buffer_done(&section);
    buffer_done(&body);
}
