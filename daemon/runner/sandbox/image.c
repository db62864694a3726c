/* The head of a compiled module: "plasmimg", version, flavour, size of its memory. */
#include "runner/sandbox/image.h"

#define IMAGE_VERSION 1

static const uint8_t magic[] = {'p', 'l', 'a', 's', 'm', 'i', 'm', 'g'};

void image_head_encode(const struct image_head *head, uint8_t room[IMAGE_HEAD_SIZE]) {
    struct writer writer = writer_of((struct span){room, IMAGE_HEAD_SIZE});
    writer_bytes_put(&writer, BYTES_ARRAY(magic));
    writer_u32(&writer, IMAGE_VERSION);
    writer_u32(&writer, (uint32_t)head->flavour);
    writer_u64(&writer, head->memory_min_bytes);
}

int image_decode(struct bytes image, struct image_head *ret_head, struct bytes *ret_code) {
    struct cursor cursor = cursor_of(image);
    struct bytes name = cursor_take(&cursor, sizeof(magic));
    uint32_t version = cursor_u32(&cursor);
    uint32_t flavour = cursor_u32(&cursor);
    uint64_t memory_min_bytes = cursor_u64(&cursor);
    if (cursor.error != 0 || !bytes_equal(name, BYTES_ARRAY(magic)) || version != IMAGE_VERSION ||
        (flavour != RUNNER_FLAVOUR_PLAIN && flavour != RUNNER_FLAVOUR_METERED)) {
        return PLASM_MALFORMED;
    }
    *ret_head = (struct image_head){(enum runner_flavour)flavour, memory_min_bytes};
    *ret_code = cursor.left;
    return 0;
}
