/* Reads and writes DNS messages. */
#include "proto/mdns/message.h"

#include "util/ensure.h"

#define POINTER      0xc0
#define POINTER_SPAN 0x3fff
#define CODES        0x780f /* opcode and response code */

/* --- names ------------------------------------------------------------------------------------ */

static uint8_t lower(uint8_t letter) {
    return letter >= 'A' && letter <= 'Z' ? (uint8_t)(letter + 32) : letter;
}

static bool equal_bytes(const uint8_t *a, const uint8_t *b, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (lower(a[i]) != lower(b[i])) {
            return false;
        }
    }
    return true;
}

void mdns_name_init(struct mdns_name *name, const char *text) {
    name->size = 0;
    while (*text != '\0') {
        size_t size = strcspn(text, ".");
        ENSURE(size > 0 && size <= MDNS_LABEL_MAX && name->size + size + 2 <= MDNS_NAME_SIZE_MAX);
        name->bytes[name->size] = (uint8_t)size;
        memcpy(name->bytes + name->size + 1, text, size);
        name->size = (uint8_t)(name->size + size + 1);
        text += text[size] == '.' ? size + 1 : size;
    }
    name->bytes[name->size++] = 0;
}

int mdns_name_under(struct bytes label, const struct mdns_name *parent,
                    struct mdns_name *ret_name) {
    if (label.size == 0 || label.size > MDNS_LABEL_MAX ||
        label.size + 1 + parent->size > MDNS_NAME_SIZE_MAX) {
        return PLASM_INVALID;
    }
    struct mdns_name name;
    name.bytes[0] = (uint8_t)label.size;
    memcpy(name.bytes + 1, label.data, label.size);
    memcpy(name.bytes + 1 + label.size, parent->bytes, parent->size);
    name.size = (uint8_t)(label.size + 1 + parent->size);
    *ret_name = name;
    return 0;
}

bool mdns_name_equal(const struct mdns_name *a, const struct mdns_name *b) {
    return a->size == b->size && equal_bytes(a->bytes, b->bytes, a->size);
}

struct bytes mdns_name_label(const struct mdns_name *name, const struct mdns_name *parent) {
    size_t size = name->size > 0 ? name->bytes[0] : 0;
    if (size == 0 || name->size != size + 1 + parent->size ||
        !equal_bytes(name->bytes + size + 1, parent->bytes, parent->size)) {
        return bytes_of(NULL, 0);
    }
    return bytes_of(name->bytes + 1, size);
}

/* Reads the name at `at`. Pointers must lead to before everything read so far, so that they end. */
static int read_name(struct bytes message, size_t at, struct mdns_name *ret_name, size_t *ret_end) {
    size_t before = at;
    size_t end = 0;
    size_t pointers = 0;
    size_t size = 0;
    for (;;) {
        if (at >= message.size) {
            return PLASM_TRUNCATED;
        }
        uint8_t length = message.data[at];
        if ((length & POINTER) == POINTER) {
            if (at + 1 >= message.size) {
                return PLASM_TRUNCATED;
            }
            size_t target = (size_t)(length << 8 | message.data[at + 1]) & POINTER_SPAN;
            end = pointers == 0 ? at + 2 : end;
            if (target >= before || target < MDNS_HEADER_SIZE || ++pointers > MDNS_POINTERS_MAX) {
                return PLASM_MALFORMED;
            }
            before = target;
            at = target;
            continue;
        }
        if ((length & POINTER) != 0 || size + 1 + length > MDNS_NAME_SIZE_MAX) {
            return PLASM_MALFORMED;
        }
        if (length >= message.size - at) {
            return PLASM_TRUNCATED;
        }
        memcpy(ret_name->bytes + size, message.data + at, (size_t)length + 1);
        size += (size_t)length + 1;
        at += (size_t)length + 1;
        if (length == 0) {
            ret_name->size = (uint8_t)size;
            *ret_end = pointers == 0 ? at : end;
            return 0;
        }
    }
}

/* --- reading ---------------------------------------------------------------------------------- */

static struct cursor rest(const struct mdns_reader *reader) {
    return cursor_of(bytes_slice(reader->message, reader->offset, reader->message.size));
}

int mdns_reader_init(struct mdns_reader *reader, struct bytes message) {
    *reader = (struct mdns_reader){.message = message};
    struct cursor cursor = cursor_of(message);
    reader->id = cursor_u16(&cursor);
    reader->flags = cursor_u16(&cursor);
    size_t items = 0;
    for (size_t i = 0; i < 4; i++) {
        reader->left[i] = cursor_u16(&cursor);
        items += reader->left[i];
    }
    reader->offset = MDNS_HEADER_SIZE;
    if (cursor.error != 0) {
        return cursor.error;
    }
    if ((reader->flags & CODES) != 0) {
        return PLASM_UNSUPPORTED;
    }
    return items > MDNS_ITEMS_MAX ? PLASM_LIMIT : 0;
}

/* The name that comes next; false and `error` when there is none. */
static bool take_name(struct mdns_reader *reader, struct mdns_name *ret_name) {
    if (reader->error == 0) {
        reader->error = read_name(reader->message, reader->offset, ret_name, &reader->offset);
    }
    return reader->error == 0;
}

bool mdns_next_question(struct mdns_reader *reader, struct mdns_question *ret_question) {
    if (reader->left[MDNS_QUESTION] == 0 || !take_name(reader, &ret_question->name)) {
        return false;
    }
    reader->left[MDNS_QUESTION]--;
    struct cursor cursor = rest(reader);
    ret_question->type = cursor_u16(&cursor);
    uint16_t class_code = cursor_u16(&cursor);
    ret_question->class_code = class_code & (uint16_t)~MDNS_CLASS_TOP;
    ret_question->unicast = (class_code & MDNS_CLASS_TOP) != 0;
    reader->error = cursor.error;
    reader->offset += 4;
    return reader->error == 0;
}

bool mdns_next_record(struct mdns_reader *reader, struct mdns_record *ret_record) {
    struct mdns_question question;
    while (reader->left[MDNS_QUESTION] > 0 && mdns_next_question(reader, &question)) {
    }
    enum mdns_section section = MDNS_ANSWER;
    while (section < MDNS_ADDITIONAL && reader->left[section] == 0) {
        section++;
    }
    if (reader->left[section] == 0 || !take_name(reader, &ret_record->name)) {
        return false;
    }
    reader->left[section]--;
    struct cursor cursor = rest(reader);
    ret_record->section = section;
    ret_record->type = cursor_u16(&cursor);
    uint16_t class_code = cursor_u16(&cursor);
    ret_record->class_code = class_code & (uint16_t)~MDNS_CLASS_TOP;
    ret_record->flush = (class_code & MDNS_CLASS_TOP) != 0;
    ret_record->ttl_s = cursor_u32(&cursor);
    ret_record->data = cursor_take(&cursor, cursor_u16(&cursor));
    reader->error = cursor.error;
    reader->offset = reader->message.size - cursor.left.size;
    ret_record->data_offset = reader->offset - ret_record->data.size;
    return reader->error == 0;
}

int mdns_record_target(const struct mdns_reader *reader, const struct mdns_record *record,
                       struct mdns_name *ret_name) {
    struct bytes until = bytes_slice(reader->message, 0, record->data_offset + record->data.size);
    struct mdns_name name;
    size_t end;
    int error = read_name(until, record->data_offset, &name, &end);
    if (error == 0 && end != until.size) {
        error = PLASM_MALFORMED;
    }
    if (error == 0) {
        *ret_name = name;
    }
    return error;
}

bool mdns_next_string(struct bytes *data, struct bytes *ret_string) {
    if (data->size == 0 || data->data[0] >= data->size) {
        return false;
    }
    *ret_string = bytes_slice(*data, 1, data->data[0]);
    *data = bytes_slice(*data, (size_t)data->data[0] + 1, data->size);
    return true;
}

/* --- writing ---------------------------------------------------------------------------------- */

void mdns_writer_init(struct mdns_writer *writer, struct span room, uint16_t id, uint16_t flags) {
    *writer = (struct mdns_writer){.writer = writer_of(room)};
    writer_u16(&writer->writer, id);
    writer_u16(&writer->writer, flags);
    for (size_t i = 0; i < 4; i++) {
        writer_u16(&writer->writer, 0); /* counts: at the end */
    }
}

/* Where the rest of `name` from `skip` on was written before; 0 when it was not. */
static uint16_t seen_at(const struct mdns_writer *writer, const struct mdns_name *name,
                        size_t skip) {
    for (size_t i = 0; i < writer->seen_count; i++) {
        const struct mdns_name *seen = writer->seen[i].name;
        size_t size = (size_t)(seen->size - writer->seen[i].skip);
        if (size == name->size - skip &&
            memcmp(seen->bytes + writer->seen[i].skip, name->bytes + skip, size) == 0) {
            return writer->seen[i].offset;
        }
    }
    return 0;
}

void mdns_write_name(struct mdns_writer *writer, const struct mdns_name *name) {
    size_t skip = 0;
    while (name->bytes[skip] != 0) {
        uint16_t offset = seen_at(writer, name, skip);
        if (offset != 0) {
            writer_u16(&writer->writer, (uint16_t)(POINTER << 8 | offset));
            return;
        }
        if (writer->seen_count < MDNS_SEEN_MAX && writer->writer.size <= POINTER_SPAN) {
            writer->seen[writer->seen_count].name = name;
            writer->seen[writer->seen_count].skip = (uint8_t)skip;
            writer->seen[writer->seen_count].offset = (uint16_t)writer->writer.size;
            writer->seen_count++;
        }
        size_t size = (size_t)name->bytes[skip] + 1;
        writer_bytes_put(&writer->writer, bytes_of(name->bytes + skip, size));
        skip += size;
    }
    writer_u8(&writer->writer, 0);
}

void mdns_write_question(struct mdns_writer *writer, const struct mdns_name *name, uint16_t type,
                         uint16_t class_code) {
    mdns_write_name(writer, name);
    writer_u16(&writer->writer, type);
    writer_u16(&writer->writer, class_code);
    writer->counts[MDNS_QUESTION]++;
}

void mdns_record_begin(struct mdns_writer *writer, enum mdns_section section,
                       const struct mdns_name *name, uint16_t type, uint16_t class_code,
                       uint32_t ttl_s) {
    writer->before.size = writer->writer.size;
    writer->before.seen_count = writer->seen_count;
    writer->section = section;
    mdns_write_name(writer, name);
    writer_u16(&writer->writer, type);
    writer_u16(&writer->writer, class_code);
    writer_u32(&writer->writer, ttl_s);
    writer->length_offset = writer->writer.size;
    writer_u16(&writer->writer, 0);
}

void mdns_write_string(struct mdns_writer *writer, struct bytes prefix, struct bytes text) {
    ENSURE(prefix.size + text.size <= UINT8_MAX);
    writer_u8(&writer->writer, (uint8_t)(prefix.size + text.size));
    writer_bytes_put(&writer->writer, prefix);
    writer_bytes_put(&writer->writer, text);
}

static void patch(struct mdns_writer *writer, size_t offset, size_t value) {
    writer->writer.room.data[offset] = (uint8_t)(value >> 8);
    writer->writer.room.data[offset + 1] = (uint8_t)value;
}

bool mdns_record_end(struct mdns_writer *writer) {
    if (writer->writer.error != 0) {
        writer->writer.size = writer->before.size;
        writer->seen_count = writer->before.seen_count;
        writer->writer.error = 0;
        return false;
    }
    patch(writer, writer->length_offset, writer->writer.size - writer->length_offset - 2);
    writer->counts[writer->section]++;
    return true;
}

size_t mdns_writer_end(struct mdns_writer *writer) {
    if (writer->writer.error != 0) {
        return 0;
    }
    for (size_t i = 0; i < 4; i++) {
        patch(writer, 4 + 2 * i, writer->counts[i]);
    }
    return writer->writer.size;
}
