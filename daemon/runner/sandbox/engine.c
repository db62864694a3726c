/* Settings of the engine: what code may do, and how it is stopped. */
#include "runner/sandbox/engine.h"

#include <stdio.h>

/* Of a module's table kept in memory between two jobs; the rest goes back to the system. */
#define TABLE_BYTES_KEPT ((size_t)64 * 1024)

/* Reserves the address space of one instance once: its memory and tables are mapped for the first
 * job and only wiped for those after it. Nothing that a module may have is bounded by this more
 * than it is otherwise. */
static bool keep_place(wasm_config_t *config) {
    wasmtime_pooling_allocation_config_t *pool = wasmtime_pooling_allocation_config_new();
    if (pool == NULL) {
        return false;
    }
    wasmtime_pooling_allocation_config_total_core_instances_set(pool, 1);
    wasmtime_pooling_allocation_config_max_core_instance_size_set(pool, SIZE_MAX / 2);
    wasmtime_pooling_allocation_config_total_memories_set(pool, 1);
    wasmtime_pooling_allocation_config_total_tables_set(pool, ENGINE_TABLES_MAX);
    wasmtime_pooling_allocation_config_max_tables_per_module_set(pool, ENGINE_TABLES_MAX);
    wasmtime_pooling_allocation_config_table_elements_set(pool, RUNNER_TABLE_ELEMENTS_MAX);
    wasmtime_pooling_allocation_config_table_keep_resident_set(pool, TABLE_BYTES_KEPT);
    wasmtime_pooling_allocation_strategy_set(config, pool);
    wasmtime_pooling_allocation_config_delete(pool);
    return true;
}

/* Features that a module may use are those of WebAssembly 2.0 and tail calls. The crate is built
 * without threads and garbage collection; what it has besides is turned off by name. */
static wasm_config_t *config_new(enum runner_flavour flavour, enum engine_use use) {
    wasm_config_t *config = wasm_config_new();
    if (config == NULL) {
        return NULL;
    }
    wasmtime_config_wasm_relaxed_simd_set(config, false);
    wasmtime_config_wasm_memory64_set(config, false);
    wasmtime_config_wasm_multi_memory_set(config, false);
    wasmtime_config_wasm_wide_arithmetic_set(config, false);
    wasmtime_config_wasm_custom_page_sizes_set(config, false);
    wasmtime_config_wasm_stack_switching_set(config, false);
    wasmtime_config_shared_memory_set(config, false);
    wasmtime_config_strategy_set(config, WASMTIME_STRATEGY_CRANELIFT);
    wasmtime_config_cranelift_opt_level_set(config, use == ENGINE_COMPILES_QUICKLY
                                                        ? WASMTIME_OPT_LEVEL_NONE
                                                        : WASMTIME_OPT_LEVEL_SPEED);
    wasmtime_config_max_wasm_stack_set(config, ENGINE_STACK_BYTES_MAX);
    wasmtime_config_native_unwind_info_set(config, false);
    wasmtime_config_epoch_interruption_set(config, true);
    /* Maps a module's data instead of copying it, where the data is dense. Without it that is done
     * by code that takes fuel: deterministic/1 depends on this, as much as the speed of large
     * modules. */
    wasmtime_config_memory_init_cow_set(config, true);
    if (flavour == RUNNER_FLAVOUR_METERED) {
        wasmtime_config_consume_fuel_set(config, true);
        wasmtime_config_cranelift_nan_canonicalization_set(config, true);
    }
    if (use == ENGINE_RUNS && !keep_place(config)) {
        wasm_config_delete(config);
        return NULL;
    }
    return config;
}

int engine_init(struct engine *engine, enum runner_flavour flavour, enum engine_use use,
                struct wasi *wasi) {
    *engine = (struct engine){.engine = NULL};
    wasm_config_t *config = config_new(flavour, use);
    if (config == NULL) {
        return PLASM_NO_MEMORY;
    }
    engine->engine = wasm_engine_new_with_config(config);
    if (engine->engine == NULL) {
        return PLASM_FAILED;
    }
    engine->linker = wasmtime_linker_new(engine->engine);
    return wasi_define(wasi, engine->linker);
}

void engine_done(struct engine *engine) {
    if (engine->linker != NULL) {
        wasmtime_linker_delete(engine->linker);
    }
    if (engine->engine != NULL) {
        wasm_engine_delete(engine->engine);
    }
}

/* wasmtime's texts may have several lines, and names out of the module in them. */
static void copy_line(const wasm_byte_vec_t *text, char *room) {
    size_t size = 0;
    for (size_t i = 0; i < text->size && size < RUNNER_TEXT_SIZE_MAX; i++) {
        char byte = text->data[i];
        if (byte == '\0') {
            break;
        }
        bool space = byte == '\n' || byte == '\t' || byte == ' ';
        if (space && (size == 0 || room[size - 1] == ' ')) {
            continue;
        }
        room[size++] = space ? ' ' : (char)(byte >= 0x21 && byte <= 0x7e ? byte : '?');
    }
    while (size > 0 && room[size - 1] == ' ') {
        size--;
    }
    room[size] = '\0';
}

void engine_error_text(wasmtime_error_t *error, char *room) {
    wasm_byte_vec_t text;
    wasmtime_error_message(error, &text);
    copy_line(&text, room);
    wasm_byte_vec_delete(&text);
    wasmtime_error_delete(error);
}

/* The traps of code as our engine makes it. */
static const char *trap_name(wasmtime_trap_code_t code) {
    switch (code) {
    case WASMTIME_TRAP_CODE_STACK_OVERFLOW:
        return "call stack exhausted";
    case WASMTIME_TRAP_CODE_MEMORY_OUT_OF_BOUNDS:
        return "out of bounds memory access";
    case WASMTIME_TRAP_CODE_TABLE_OUT_OF_BOUNDS:
        return "out of bounds table access";
    case WASMTIME_TRAP_CODE_INDIRECT_CALL_TO_NULL:
        return "indirect call to null";
    case WASMTIME_TRAP_CODE_BAD_SIGNATURE:
        return "indirect call type mismatch";
    case WASMTIME_TRAP_CODE_INTEGER_OVERFLOW:
        return "integer overflow";
    case WASMTIME_TRAP_CODE_INTEGER_DIVISION_BY_ZERO:
        return "integer divide by zero";
    case WASMTIME_TRAP_CODE_BAD_CONVERSION_TO_INTEGER:
        return "invalid conversion to integer";
    case WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED:
        return "unreachable executed";
    case WASMTIME_TRAP_CODE_OUT_OF_FUEL:
        return "out of fuel";
    default:
        return "trap";
    }
}

void engine_trap_text(wasm_trap_t *trap, wasmtime_trap_code_t code, char *room) {
    wasm_frame_t *frame = wasm_trap_origin(trap);
    const wasm_name_t *name = frame != NULL ? wasmtime_frame_func_name(frame) : NULL;
    char known[100] = "";
    if (name != NULL) {
        char line[RUNNER_TEXT_SIZE_MAX + 1];
        copy_line(name, line);
        snprintf(known, sizeof(known), " (%.90s)", line);
    }
    if (frame != NULL) {
        snprintf(room, RUNNER_TEXT_SIZE_MAX + 1, "%s in function %u%s at 0x%zx", trap_name(code),
                 wasm_frame_func_index(frame), known, wasm_frame_module_offset(frame));
        wasm_frame_delete(frame);
    } else {
        snprintf(room, RUNNER_TEXT_SIZE_MAX + 1, "%s", trap_name(code));
    }
    wasm_trap_delete(trap);
}
