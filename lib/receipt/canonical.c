/* A strict reader of canonical JSON, and what the flat writer of wire/ lacks. */
#include "receipt/canonical.h"

#include "util/ensure.h"

void canonical_begin(struct canonical *reader, struct bytes json) {
    *reader = (struct canonical){.left = json, .first = true, .field = "document"};
}

void canonical_fail(struct canonical *reader, int error, const char *text) {
    if (reader->error == 0) {
        reader->error = fault_set(&reader->fault, error, reader->field, text);
    }
    reader->left.size = 0;
}

int canonical_end(struct canonical *reader, struct fault *fault) {
    if (reader->error == 0 && reader->left.size > 0) {
        reader->field = "document";
        canonical_fail(reader, PLASM_MALFORMED, "has bytes after its end");
    }
    if (reader->error != 0) {
        return fault_set(fault, reader->error, reader->fault.field, reader->fault.text);
    }
    return 0;
}

static bool canonical_skip(struct canonical *reader, struct bytes expected) {
    if (!bytes_start_with(reader->left, expected)) {
        return false;
    }
    reader->left = bytes_slice(reader->left, expected.size, reader->left.size);
    return true;
}

static void canonical_expect(struct canonical *reader, struct bytes expected, const char *text) {
    if (!canonical_skip(reader, expected)) {
        canonical_fail(reader, PLASM_MALFORMED, text);
    }
}

void canonical_open(struct canonical *reader) {
    canonical_expect(reader, BYTES_LITERAL("{"), "is not an object");
    reader->first = true;
}

void canonical_close(struct canonical *reader) {
    canonical_expect(reader, BYTES_LITERAL("}"),
                     "is followed by an unknown member, or the JSON is not canonical");
    reader->first = false;
}

bool canonical_has_key(struct canonical *reader, const char *key, const char *field) {
    struct bytes before = reader->left;
    bool found =
        reader->error == 0 && (reader->first || canonical_skip(reader, BYTES_LITERAL(",")));
    found = found && canonical_skip(reader, BYTES_LITERAL("\"")) &&
            canonical_skip(reader, bytes_of_string(key)) &&
            canonical_skip(reader, BYTES_LITERAL("\":"));
    if (found) {
        reader->first = false;
        reader->field = field;
    } else {
        reader->left = before;
    }
    return found;
}

void canonical_key(struct canonical *reader, const char *key, const char *field) {
    if (!canonical_has_key(reader, key, field)) {
        reader->field = field;
        canonical_fail(
            reader, PLASM_MALFORMED,
            "is missing, or stands behind an unknown member, or the JSON is not canonical");
    }
}

int64_t canonical_integer(struct canonical *reader) {
    bool negative = canonical_skip(reader, BYTES_LITERAL("-"));
    const uint8_t *digits = reader->left.data;
    size_t count = 0;
    int64_t value = 0;
    /* 16 digits hold 2^53-1 and cannot overflow. */
    while (count < reader->left.size && digits[count] >= '0' && digits[count] <= '9') {
        if (count == 16) {
            canonical_fail(reader, PLASM_MALFORMED, "is too large a number");
            return 0;
        }
        value = value * 10 + (digits[count] - '0');
        count++;
    }
    if (count == 0 || (digits[0] == '0' && (count > 1 || negative))) {
        canonical_fail(reader, PLASM_MALFORMED, "is not an integer");
        return 0;
    }
    if (value > JSON_INTEGER_MAX) {
        canonical_fail(reader, PLASM_MALFORMED, "is too large a number");
        return 0;
    }
    reader->left = bytes_slice(reader->left, count, reader->left.size);
    return negative ? -value : value;
}

uint64_t canonical_count(struct canonical *reader) {
    int64_t value = canonical_integer(reader);
    if (value < 0) {
        canonical_fail(reader, PLASM_MALFORMED, "is negative");
        return 0;
    }
    return (uint64_t)value;
}

struct bytes canonical_plain(struct canonical *reader) {
    canonical_expect(reader, BYTES_LITERAL("\""), "is not a string");
    size_t size = 0;
    while (size < reader->left.size && reader->left.data[size] != '"') {
        uint8_t c = reader->left.data[size];
        if (c < 0x20 || c > 0x7e || c == '\\') {
            canonical_fail(reader, PLASM_MALFORMED, "has a character that is not allowed");
            break;
        }
        size++;
    }
    if (size >= reader->left.size) {
        canonical_fail(reader, PLASM_MALFORMED, "is a string without an end");
        return bytes_of(NULL, 0);
    }
    struct bytes text = bytes_slice(reader->left, 0, size);
    reader->left = bytes_slice(reader->left, size + 1, reader->left.size);
    return text;
}

void canonical_name(struct canonical *reader, char *room, size_t room_size, bool may_be_empty) {
    struct bytes text = canonical_plain(reader);
    if (reader->error == 0 && !(text.size == 0 && may_be_empty) && !name_valid(text, room_size)) {
        canonical_fail(reader, PLASM_MALFORMED, "is not a name");
    }
    if (reader->error != 0 || bytes_to_string(text, room, room_size) != 0) {
        room[0] = '\0';
    }
}

bool canonical_optional_hash(struct canonical *reader, struct sha256_digest *ret_digest) {
    struct bytes text = canonical_plain(reader);
    if (text.size == 0) {
        return false;
    }
    if (hash_parse(text, ret_digest) != 0) {
        canonical_fail(reader, PLASM_MALFORMED, "is not sha256:<64 hex digits>");
        return false;
    }
    return true;
}

void canonical_hash(struct canonical *reader, struct sha256_digest *ret_digest) {
    if (!canonical_optional_hash(reader, ret_digest)) {
        canonical_fail(reader, PLASM_MALFORMED, "is empty");
    }
}

static int canonical_hex(uint8_t digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* What the escape at the start of `from` stands for, or -1 where it is none that RFC 8785 writes
 * (section 3.2.2.2): the short form where there is one, \u00xx only for other control characters.
 */
static int canonical_unescape(struct bytes from, size_t *ret_size) {
    static const struct {
        char letter;
        char meaning;
    } shorts[] = {{'"', '"'},  {'\\', '\\'}, {'b', '\b'}, {'f', '\f'},
                  {'n', '\n'}, {'r', '\r'},  {'t', '\t'}};
    for (size_t i = 0; from.size >= 2 && i < ARRAY_SIZE(shorts); i++) {
        if (from.data[1] == (uint8_t)shorts[i].letter) {
            *ret_size = 2;
            return (uint8_t)shorts[i].meaning;
        }
    }
    if (from.size < 6 || !bytes_start_with(from, BYTES_LITERAL("\\u00"))) {
        return -1;
    }
    int high = canonical_hex(from.data[4]);
    int low = canonical_hex(from.data[5]);
    if (high < 0 || high > 1 || low < 0) {
        return -1;
    }
    int value = high * 16 + low;
    if (value == '\b' || value == '\f' || value == '\n' || value == '\r' || value == '\t') {
        return -1;
    }
    *ret_size = 6;
    return value;
}

struct bytes canonical_text(struct canonical *reader, struct span *room) {
    canonical_expect(reader, BYTES_LITERAL("\""), "is not a string");
    struct bytes from = reader->left;
    uint8_t *to = room->data;
    size_t offset = 0;
    size_t size = 0;
    while (offset < from.size && from.data[offset] != '"') {
        size_t taken = 1;
        int c = from.data[offset];
        if (c == '\\') {
            c = canonical_unescape(bytes_slice(from, offset, from.size), &taken);
        } else if (c < 0x20) {
            c = -1;
        }
        if (c < 0) {
            canonical_fail(reader, PLASM_MALFORMED, "is not a canonical JSON string");
            return bytes_of(NULL, 0);
        }
        if (to != NULL) {
            ENSURE(size < room->size);
            to[size] = (uint8_t)c;
        }
        size++;
        offset += taken;
    }
    if (offset == from.size) {
        canonical_fail(reader, PLASM_MALFORMED, "is a string without an end");
        return bytes_of(NULL, 0);
    }
    reader->left = bytes_slice(from, offset + 1, from.size);
    if (to != NULL) {
        room->data += size;
        room->size -= size;
    }
    return bytes_of(to, size);
}

void canonical_list(struct canonical *reader) {
    canonical_expect(reader, BYTES_LITERAL("["), "is not a list");
    reader->first = true;
}

bool canonical_more(struct canonical *reader) {
    if (reader->error != 0) {
        return false;
    }
    bool end = canonical_skip(reader, BYTES_LITERAL("]"));
    if (!end && !reader->first) {
        canonical_expect(reader, BYTES_LITERAL(","), "is a list without an end");
    }
    reader->first = false;
    return !end && reader->error == 0;
}

size_t canonical_hashes(struct canonical *reader, struct sha256_digest *digests, size_t count_max) {
    size_t count = 0;
    canonical_list(reader);
    while (canonical_more(reader)) {
        if (count == count_max) {
            canonical_fail(reader, PLASM_TOO_LARGE, "has too many elements");
            break;
        }
        canonical_hash(reader, &digests[count++]);
    }
    return reader->error == 0 ? count : 0;
}

void canonical_put_object(struct json_writer *writer, const char *key, struct json_writer *nested) {
    ENSURE(writer->last_key != NULL && strcmp(writer->last_key, key) < 0);
    writer->last_key = key;
    const struct bytes parts[] = {BYTES_LITERAL(",\""), bytes_of_string(key), BYTES_LITERAL("\":")};
    for (size_t i = 0; writer->error == 0 && i < ARRAY_SIZE(parts); i++) {
        writer->error = buffer_append(writer->out, parts[i]);
    }
    json_object_begin(nested, writer->out);
}

void canonical_put_object_end(struct json_writer *writer, struct json_writer *nested) {
    int error = json_object_end(nested);
    if (writer->error == 0) {
        writer->error = error;
    }
}

void canonical_put_string(struct json_writer *writer, const char *key, const char *value) {
    json_object_string(writer, key, bytes_of_string(value));
}

void canonical_put_hash(struct json_writer *writer, const char *key,
                        const struct sha256_digest *digest) {
    char text[HASH_TEXT_SIZE];
    hash_format(digest, text);
    canonical_put_string(writer, key, text);
}

void canonical_put_hashes(struct json_writer *writer, const char *key,
                          const struct sha256_digest *digests, size_t count) {
    char texts[CANONICAL_HASHES_MAX][HASH_TEXT_SIZE];
    struct bytes list[CANONICAL_HASHES_MAX];
    ENSURE(count <= CANONICAL_HASHES_MAX);
    for (size_t i = 0; i < count; i++) {
        hash_format(&digests[i], texts[i]);
        list[i] = bytes_of_string(texts[i]);
    }
    json_object_strings(writer, key, list, count);
}
