/* Fuzz target: a file of remembered peers, as it is and with its digest made right. */
#include "proto/kad/machine_testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct machine machine;
    static uint8_t room[KAD_EXPORT_SIZE_MAX + 64];
    machine.namespaces = (struct kad_namespaces){0};
    machine_setup(&machine, KAD_SERVER, NULL);
    int error = kad_import(machine.kad, bytes_of(data, size), machine.now);
    ENSURE(error == 0 || error == PLASM_MALFORMED || error == PLASM_UNSUPPORTED);
    if (size <= sizeof(room) - SHA256_SIZE) {
        struct writer writer = writer_of((struct span){room, sizeof(room)});
        struct sha256_digest digest = sha256(bytes_of(data, size));
        writer_bytes_put(&writer, bytes_of(data, size));
        writer_bytes_put(&writer, BYTES_ARRAY(digest.bytes));
        error = kad_import(machine.kad, writer_bytes(&writer), machine.now);
        ENSURE(error == 0 || error == PLASM_MALFORMED || error == PLASM_UNSUPPORTED);
    }
    ENSURE(machine_counts(&machine).contacts <= 128);
    uint64_t operation;
    error = kad_find_closest(machine.kad, BYTES_LITERAL("key"), NULL, machine.now, &operation);
    ENSURE(error == 0);
    machine_drain(&machine);
    machine_teardown(&machine);
    return 0;
}
