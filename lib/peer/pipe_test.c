/* The peer over pipes in memory, cut at random: the conformance list. */
#include "peer/conformance_testing.h"
#include "peer/pipe_world_testing.h"

int main(void) {
    if (crypto_init() != 0) {
        return 1;
    }
    pipe_world_settings()->secure = pipe_world_plain;
    pipe_world_settings()->unsecure = pipe_world_unplain;
    int failed = conformance_run(pipe_world());
    return failed;
}
