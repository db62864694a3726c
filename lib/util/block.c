/* Reference counting of immutable bytes, within one thread. */
#include "util/block.h"

#include "util/ensure.h"

struct block *block_new(struct memory *memory, size_t size) {
    if (size > SIZE_MAX - sizeof(struct block)) {
        return NULL;
    }
    struct block *block = memory_get(memory, sizeof(struct block) + size);
    if (block != NULL) {
        block->memory = memory;
        block->references = 1;
        block->size = size;
    }
    return block;
}

struct block *block_copy(struct memory *memory, struct bytes bytes) {
    struct block *block = block_new(memory, bytes.size);
    if (block != NULL && bytes.size > 0) {
        memcpy(block->data, bytes.data, bytes.size);
    }
    return block;
}

struct block *block_ref(struct block *block) {
    ENSURE(block->references > 0 && block->references < UINT32_MAX);
    block->references++;
    return block;
}

void block_unref(struct block *block) {
    if (block == NULL) {
        return;
    }
    ENSURE(block->references > 0);
    block->references--;
    if (block->references == 0) {
        memory_put(block->memory, block, sizeof(struct block) + block->size);
    }
}
