/* Any bytes as a receipt file, read and verified. */
#include "receipt/verify.h"
#include "util/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct memory memory;
    struct receipt_file file;
    struct fault fault = {0};
    memory_init(&memory, SIZE_MAX);
    ENSURE(crypto_init() == 0);
    if (receipt_file_decode(bytes_of(data, size), &memory, &file, &fault) == 0) {
        ENSURE(fault.field == NULL);
        enum verdict verdict = receipt_file_verify(&file, NULL, &memory, &fault);
        ENSURE(verdict == VERDICT_UNPINNED || fault.field != NULL);
        receipt_file_done(&file);
    } else {
        ENSURE(fault.field != NULL);
    }
    ENSURE(memory.used == 0);
    return 0;
}
