/* Sending and receiving whole packets with descriptors, at both ends. */
#ifndef RUNNER_PACKET_H
#define RUNNER_PACKET_H

#include "util/bytes.h"

#define PACKET_FDS_MAX 3

/* One packet; waits for it unless `socket` does not block, and starts again when a signal comes.
 * Up to `fd_max` descriptors that came with it are given in `ret_fds` (close-on-exec), the others
 * of them set to -1; more than that are closed. PLASM_CLOSED (the other end is gone), PLASM_STATE
 * (nothing there now), PLASM_TOO_LARGE (a packet that does not fit), PLASM_IO. */
MUST_CHECK int packet_receive(int socket, struct span room, int *ret_fds, size_t fd_max,
                              struct bytes *ret_packet);
/* PLASM_CLOSED, PLASM_STATE (it would have to wait), PLASM_IO. The descriptors stay the caller's.
 */
MUST_CHECK int packet_send(int socket, struct bytes packet, const int *fds, size_t fd_count);

#endif
