/* Any bytes as a receipt: refused, or what was read says exactly these bytes again. */
#include "receipt/receipt.h"
#include "util/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct memory memory;
    struct receipt receipt;
    memory_init(&memory, SIZE_MAX);
    struct bytes text = bytes_of(data, size);
    bool taken = receipt_decode(text, &receipt, NULL) == 0;
    struct buffer out;
    buffer_init(&out, &memory, SIZE_MAX);
    if (taken) {
        ENSURE(receipt_encode(&receipt, &out, NULL) == 0);
        ENSURE(bytes_equal(buffer_bytes(&out), text));
        buffer_clear(&out);
        ENSURE(receipt_summary_encode(&receipt, &out) == 0);
        ENSURE(out.size <= SUMMARY_SIZE_MAX);
    }
    buffer_done(&out);
    ENSURE(memory.used == 0);
    return 0;
}
