/* Both roles of multistream-select 1.0 as one machine over lines. */
#include "proto/multistream/multistream.h"

#include "util/ensure.h"
#include "wire/varint.h"

static const char multistream_header[] = "/multistream/1.0.0";
static const char multistream_refusal[] = "na";

static void put_line(struct multistream *select, const char *text) {
    size_t size = strlen(text);
    struct writer writer = writer_of(
        (struct span){select->out + select->out_size, sizeof(select->out) - select->out_size});
    uvarint_write(&writer, size + 1);
    writer_bytes_put(&writer, bytes_of(text, size));
    writer_u8(&writer, '\n');
    ENSURE(writer.error == 0);
    select->out_size += writer.size;
}

void multistream_init(struct multistream *select, enum multistream_role role,
                      const char *const *names, size_t name_count) {
    memset(select, 0, sizeof(*select));
    select->role = role;
    select->names = names;
    select->name_count = name_count;
    put_line(select, multistream_header);
    if (role == MULTISTREAM_DIALLER) {
        ENSURE(name_count > 0 && strlen(names[0]) <= MULTISTREAM_NAME_MAX);
        put_line(select, names[0]);
    }
}

static int listener_line(struct multistream *select, struct bytes text) {
    for (size_t i = 0; i < select->name_count; i++) {
        if (bytes_equal_string(text, select->names[i])) {
            put_line(select, select->names[i]);
            select->selected = i;
            select->done = true;
            return 0;
        }
    }
    select->proposal++;
    if (select->proposal > MULTISTREAM_PROPOSALS_MAX) {
        return PLASM_LIMIT;
    }
    put_line(select, multistream_refusal);
    return 0;
}

static int dialler_line(struct multistream *select, struct bytes text) {
    if (bytes_equal_string(text, select->names[select->proposal])) {
        select->selected = select->proposal;
        select->done = true;
        return 0;
    }
    if (!bytes_equal_string(text, multistream_refusal)) {
        return PLASM_MALFORMED;
    }
    select->proposal++;
    if (select->proposal == select->name_count) {
        return PLASM_UNSUPPORTED;
    }
    put_line(select, select->names[select->proposal]);
    return 0;
}

/* One whole line without its length; overlong ones arrive cut, and match nothing. */
static int take_line(struct multistream *select, struct bytes line, bool whole) {
    if (!whole) {
        line = bytes_of(NULL, 0);
    } else if (line.size == 0 || line.data[line.size - 1] != '\n') {
        return PLASM_MALFORMED;
    } else {
        line.size--;
    }
    if (!select->header_received) {
        select->header_received = true;
        return bytes_equal_string(line, multistream_header) ? 0 : PLASM_MALFORMED;
    }
    return select->role == MULTISTREAM_LISTENER ? listener_line(select, line)
                                                : dialler_line(select, line);
}

/* Takes one byte of a line that is still incomplete. */
static int take_byte(struct multistream *select, uint8_t byte) {
    ENSURE(select->line_size < sizeof(select->line));
    select->line[select->line_size++] = byte;
    struct cursor cursor = cursor_of(bytes_of(select->line, select->line_size));
    uint64_t size = uvarint_read(&cursor);
    if (cursor.error == PLASM_TRUNCATED && select->line_size <= 3) {
        return 0;
    }
    if (cursor.error != 0 || size == 0 || size > MULTISTREAM_LINE_MAX) {
        return PLASM_MALFORMED;
    }
    if (size > MULTISTREAM_NAME_MAX + 1) {
        select->line_size = 0;
        select->skip = size;
        return 0;
    }
    if (cursor.left.size < size) {
        return 0;
    }
    select->line_size = 0;
    return take_line(select, cursor.left, true);
}

int multistream_receive(struct multistream *select, struct bytes input, size_t *ret_consumed) {
    size_t consumed = 0;
    while (select->error == 0 && !select->done && consumed < input.size) {
        /* A peer that never reads our refusals does not make us remember them. */
        if (select->out_size > sizeof(select->out) - (MULTISTREAM_NAME_MAX + 4)) {
            select->error = PLASM_LIMIT;
            break;
        }
        if (select->skip > 0) {
            size_t left = input.size - consumed;
            size_t skipped = left < select->skip ? left : select->skip;
            select->skip -= skipped;
            consumed += skipped;
            if (select->skip == 0) {
                select->error = take_line(select, bytes_of(NULL, 0), false);
            }
            continue;
        }
        select->error = take_byte(select, input.data[consumed]);
        consumed++;
    }
    *ret_consumed = consumed;
    return select->error;
}

size_t multistream_transmit(struct multistream *select, struct span room) {
    size_t size = select->out_size < room.size ? select->out_size : room.size;
    if (size > 0) {
        memcpy(room.data, select->out, size);
        memmove(select->out, select->out + size, select->out_size - size);
        select->out_size -= size;
    }
    return size;
}
