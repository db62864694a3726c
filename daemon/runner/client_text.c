/* The walls in words. */
#include <stdio.h>

#include "runner/runner_client.h"

static const struct {
    enum runner_wall wall;
    const char *name;
} walls_named[] = {
    {RUNNER_WALL_SECCOMP, "seccomp"},
    {RUNNER_WALL_RLIMITS, "rlimits"},
    {RUNNER_WALL_NO_NEW_PRIVILEGES, "no privileges"},
    {RUNNER_WALL_NOT_DUMPABLE, "not dumpable"},
    {RUNNER_WALL_LANDLOCK, "Landlock"},
    {RUNNER_WALL_USER_NAMESPACE, "user namespace"},
    {RUNNER_WALL_OTHER_USER, "other user"},
    {RUNNER_WALL_NETWORK_NAMESPACE, "network namespace"},
    {RUNNER_WALL_MOUNT_NAMESPACE, "empty root"},
    {RUNNER_WALL_PID_NAMESPACE, "process namespace"},
    {RUNNER_WALL_IPC_NAMESPACE, "IPC namespace"},
    {RUNNER_WALL_UTS_NAMESPACE, "UTS namespace"},
};

/* Walls of one kind: as root another user, as an ordinary user a user namespace. */
static uint32_t walls_needless(uint32_t walls) {
    const uint32_t either = RUNNER_WALL_USER_NAMESPACE | RUNNER_WALL_OTHER_USER;
    return (walls & either) != 0 ? either & ~walls : RUNNER_WALL_OTHER_USER;
}

/* Appends the names of `walls`, or nothing. */
static void append_walls(struct writer *writer, const char *before, uint32_t walls,
                         uint32_t landlock_abi) {
    for (size_t i = 0; i < ARRAY_SIZE(walls_named); i++) {
        if ((walls & walls_named[i].wall) == 0) {
            continue;
        }
        writer_bytes_put(writer, bytes_of_string(before));
        writer_bytes_put(writer, bytes_of_string(walls_named[i].name));
        if (walls_named[i].wall == RUNNER_WALL_LANDLOCK && landlock_abi > 0) {
            char abi[16];
            snprintf(abi, sizeof(abi), " %u", landlock_abi);
            writer_bytes_put(writer, bytes_of_string(abi));
        }
        before = ", ";
    }
}

void runner_walls_text(uint32_t walls, uint32_t landlock_abi, char *room) {
    struct writer writer = writer_of((struct span){(uint8_t *)room, RUNNER_WALLS_TEXT_SIZE - 1});
    append_walls(&writer, "", walls, landlock_abi);
    append_walls(&writer, "; absent: ", ~walls & ~walls_needless(walls), 0);
    room[writer.size] = '\0';
}
