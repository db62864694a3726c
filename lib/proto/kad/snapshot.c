/* The table as bytes, and back: a version, a count, peers, a digest of it all. */
#include "proto/kad/internal.h"

#define SNAPSHOT_MAGIC   "pkad"
#define SNAPSHOT_VERSION 1
#define HEAD_SIZE        (4 + 1 + 2)

static int compare_seen(const struct table_peer *a, const struct table_peer *b) {
    if (a->seen != b->seen) {
        return a->seen > b->seen ? -1 : 1;
    }
    return memcmp(a->hash.bytes, b->hash.bytes, SHA256_SIZE);
}

/* The healthy peers with addresses, those seen last first. Returns how many. */
static size_t choose_peers(const struct table *table,
                           const struct table_peer *chosen[KAD_EXPORT_PEERS_MAX]) {
    size_t count = 0;
    for (const struct table_peer *peer = table_next(table, NULL); peer != NULL;
         peer = table_next(table, peer)) {
        if (peer->failures > 0 || peer->addresses_size == 0) {
            continue;
        }
        size_t place = count;
        while (place > 0 && compare_seen(peer, chosen[place - 1]) < 0) {
            place--;
        }
        if (place == KAD_EXPORT_PEERS_MAX) {
            continue;
        }
        count += count < KAD_EXPORT_PEERS_MAX;
        memmove(&chosen[place + 1], &chosen[place], (count - place - 1) * sizeof(chosen[0]));
        chosen[place] = peer;
    }
    return count;
}

int kad_export(const struct kad *kad, struct buffer *out) {
    const struct table_peer *peers[KAD_EXPORT_PEERS_MAX];
    size_t count = choose_peers(&kad->table, peers);
    size_t size = HEAD_SIZE + SHA256_SIZE;
    for (size_t i = 0; i < count; i++) {
        size += 1 + peers[i]->id.size + 2u + peers[i]->addresses_size;
    }
    struct span room;
    int error = buffer_reserve(out, size, &room);
    if (error != 0) {
        return error;
    }
    struct writer writer = writer_of(room);
    writer_bytes_put(&writer, BYTES_LITERAL(SNAPSHOT_MAGIC));
    writer_u8(&writer, SNAPSHOT_VERSION);
    writer_u16(&writer, (uint16_t)count);
    for (size_t i = 0; i < count; i++) {
        writer_u8(&writer, peers[i]->id.size);
        writer_bytes_put(&writer, peer_id_bytes(&peers[i]->id));
        writer_u16(&writer, peers[i]->addresses_size);
        writer_bytes_put(&writer, table_peer_addresses(peers[i]));
    }
    struct sha256_digest digest = sha256(writer_bytes(&writer));
    writer_bytes_put(&writer, BYTES_ARRAY(digest.bytes));
    buffer_commit(out, writer.size);
    return writer.error;
}

/* Reads one peer; the addresses are checked like a stranger's. */
static bool read_peer(struct cursor *cursor, struct peer_id *ret_id,
                      struct kad_addresses *ret_addresses) {
    struct bytes id = cursor_take(cursor, cursor_u8(cursor));
    struct bytes packed = cursor_take(cursor, cursor_u16(cursor));
    if (cursor->error != 0 || peer_id_decode(id, ret_id) != 0) {
        return false;
    }
    *ret_addresses = (struct kad_addresses){0};
    struct bytes address;
    while (kad_address_next(&packed, &address)) {
        if (!kad_addresses_add(ret_addresses, ret_id, address)) {
            return false;
        }
    }
    return ret_addresses->size > 0;
}

int kad_import(struct kad *kad, struct bytes bytes, nanos now) {
    (void)now;
    if (bytes.size < HEAD_SIZE + SHA256_SIZE || bytes.size > KAD_EXPORT_SIZE_MAX ||
        !bytes_start_with(bytes, BYTES_LITERAL(SNAPSHOT_MAGIC))) {
        return PLASM_MALFORMED;
    }
    struct bytes body = bytes_slice(bytes, 0, bytes.size - SHA256_SIZE);
    struct sha256_digest digest = sha256(body);
    if (!bytes_equal(BYTES_ARRAY(digest.bytes), bytes_slice(bytes, body.size, SHA256_SIZE))) {
        return PLASM_MALFORMED;
    }
    struct cursor cursor = cursor_of(bytes_slice(body, sizeof(SNAPSHOT_MAGIC) - 1, body.size));
    if (cursor_u8(&cursor) != SNAPSHOT_VERSION) {
        return PLASM_UNSUPPORTED;
    }
    size_t count = cursor_u16(&cursor);
    struct cursor first = cursor;
    struct peer_id id;
    struct kad_addresses addresses;
    for (size_t i = 0; i < count; i++) {
        if (!read_peer(&cursor, &id, &addresses)) {
            return PLASM_MALFORMED;
        }
    }
    if (cursor.left.size > 0 || count > KAD_EXPORT_PEERS_MAX) {
        return PLASM_MALFORMED;
    }
    /* All is well: take the first, seen last, and leave room for those who are here. */
    int error = 0;
    for (size_t i = 0; error == 0 && i < count && i < kad->limits.contacts_max / 2; i++) {
        (void)read_peer(&first, &id, &addresses);
        error = members_remember(kad, &id, kad_addresses_bytes(&addresses));
    }
    return error == PLASM_LIMIT ? 0 : error;
}
