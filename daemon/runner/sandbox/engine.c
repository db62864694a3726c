/* Settings of the engine: what code may do, and how it is stopped. */
#include "runner/sandbox/engine.h"

#include <stdio.h>

/* Features that a module may use are those of WebAssembly 2.0 and tail calls. The crate is built
 * without threads and garbage collection; what it has besides is turned off by name. */
static wasm_config_t *config_new(enum runner_flavour flavour, bool optimise) {
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
    wasmtime_config_cranelift_opt_level_set(config, optimise ? WASMTIME_OPT_LEVEL_SPEED
                                                             : WASMTIME_OPT_LEVEL_NONE);
    wasmtime_config_max_wasm_stack_set(config, ENGINE_STACK_BYTES_MAX);
    wasmtime_config_native_unwind_info_set(config, false);
    wasmtime_config_epoch_interruption_set(config, true);
    wasmtime_config_memory_init_cow_set(config, false);
    if (flavour == RUNNER_FLAVOUR_METERED) {
        wasmtime_config_consume_fuel_set(config, true);
        wasmtime_config_cranelift_nan_canonicalization_set(config, true);
    }
    return config;
}

int engine_init(struct engine *engine, enum runner_flavour flavour, bool optimise,
                struct wasi *wasi) {
    *engine = (struct engine){.engine = NULL};
    wasm_config_t *config = config_new(flavour, optimise);
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

void engine_trap_text(wasm_trap_t *trap, char *room) {
    wasm_byte_vec_t text;
    wasm_trap_message(trap, &text);
    copy_line(&text, room);
    wasm_byte_vec_delete(&text);
    wasm_trap_delete(trap);
}
