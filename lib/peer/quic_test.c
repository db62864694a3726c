/* The peer over QUIC in memory: the conformance list. */
#include "peer/conformance_testing.h"
#include "peer/quic_world_testing.h"

int main(void) {
    return crypto_init() == 0 ? conformance_run(quic_world()) : 1;
}
