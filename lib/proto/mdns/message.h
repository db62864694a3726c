/* DNS messages as multicast DNS uses them: reading with bounds, writing with compressed names.
 * Specs: RFC 1035 section 4, RFC 6762 section 18, RFC 6763 section 6. */
#ifndef PROTO_MDNS_MESSAGE_H
#define PROTO_MDNS_MESSAGE_H

#include "util/cursor.h"

#define MDNS_HEADER_SIZE   12
#define MDNS_NAME_SIZE_MAX 255
#define MDNS_LABEL_MAX     63
/* Questions and records of one message; pointers of one name. */
#define MDNS_ITEMS_MAX    128
#define MDNS_POINTERS_MAX 16
/* Places of names the writer remembers to point at. */
#define MDNS_SEEN_MAX 32

#define MDNS_FLAG_RESPONSE      0x8000
#define MDNS_FLAG_AUTHORITATIVE 0x0400
#define MDNS_FLAG_TRUNCATED     0x0200

enum mdns_type {
    MDNS_TYPE_A = 1,
    MDNS_TYPE_PTR = 12,
    MDNS_TYPE_TXT = 16,
    MDNS_TYPE_AAAA = 28,
    MDNS_TYPE_SRV = 33,
    MDNS_TYPE_ANY = 255,
};

#define MDNS_CLASS_IN  1
#define MDNS_CLASS_ANY 255
/* Of a question: a unicast answer will do; of a record: it replaces what was known. */
#define MDNS_CLASS_TOP 0x8000

enum mdns_section { MDNS_QUESTION, MDNS_ANSWER, MDNS_AUTHORITY, MDNS_ADDITIONAL };

/* Labels with their lengths, the root's zero included, no pointers. size 0 is no name. */
struct mdns_name {
    uint8_t size;
    uint8_t bytes[MDNS_NAME_SIZE_MAX];
};

/* Of "a.b.local"; the text is ours and fits. */
void mdns_name_init(struct mdns_name *name, const char *text);
/* `label` in front of `parent`. PLASM_INVALID when it is empty or too long, or the whole is. */
MUST_CHECK int mdns_name_under(struct bytes label, const struct mdns_name *parent,
                               struct mdns_name *ret_name);
/* ASCII letters' case does not count. */
bool mdns_name_equal(const struct mdns_name *a, const struct mdns_name *b);
/* The label of a name that is exactly one label in front of `parent`, borrowed; else empty. */
struct bytes mdns_name_label(const struct mdns_name *name, const struct mdns_name *parent);

struct mdns_question {
    struct mdns_name name;
    uint16_t type;
    uint16_t class_code;
    bool unicast; /* an answer to the asker alone will do */
};

struct mdns_record {
    enum mdns_section section;
    struct mdns_name name;
    uint16_t type;
    uint16_t class_code;
    bool flush;
    uint32_t ttl_s;
    struct bytes data;  /* borrowed from the message */
    size_t data_offset; /* of it in the message */
};

/* Walks a message: all questions, then all records. */
struct mdns_reader {
    struct bytes message;
    size_t offset;
    uint16_t id;
    uint16_t flags;
    uint16_t left[4]; /* by section */
    int error;        /* sticky: PLASM_TRUNCATED, PLASM_MALFORMED */
};

/* PLASM_TRUNCATED; PLASM_UNSUPPORTED (an opcode or response code that multicast DNS ignores);
 * PLASM_LIMIT (over MDNS_ITEMS_MAX). */
MUST_CHECK int mdns_reader_init(struct mdns_reader *reader, struct bytes message);
/* False after the last one, and when the message is bad: see `error`. */
bool mdns_next_question(struct mdns_reader *reader, struct mdns_question *ret_question);
/* Skips the questions that were not read. */
bool mdns_next_record(struct mdns_reader *reader, struct mdns_record *ret_record);
/* The name that a PTR record is about. PLASM_TRUNCATED, PLASM_MALFORMED. */
MUST_CHECK int mdns_record_target(const struct mdns_reader *reader,
                                  const struct mdns_record *record, struct mdns_name *ret_name);
/* The next string of a TXT record's data, borrowed; false at the end or when it is cut off. */
bool mdns_next_string(struct bytes *data, struct bytes *ret_string);

/* Writes a message; names given to it are borrowed until its end. */
struct mdns_writer {
    struct writer writer;
    uint16_t counts[4];
    size_t seen_count;
    struct {
        const struct mdns_name *name;
        uint8_t skip; /* where in the name it begins */
        uint16_t offset;
    } seen[MDNS_SEEN_MAX];
    struct { /* before the record under way */
        size_t size;
        size_t seen_count;
    } before;
    enum mdns_section section; /* of it */
    size_t length_offset;
};

void mdns_writer_init(struct mdns_writer *writer, struct span room, uint16_t id, uint16_t flags);
void mdns_write_question(struct mdns_writer *writer, const struct mdns_name *name, uint16_t type,
                         uint16_t class_code);
/* Between begin and end the record's data is put into `writer->writer`. */
void mdns_record_begin(struct mdns_writer *writer, enum mdns_section section,
                       const struct mdns_name *name, uint16_t type, uint16_t class_code,
                       uint32_t ttl_s);
void mdns_write_name(struct mdns_writer *writer, const struct mdns_name *name);
/* One string of a TXT record, at most 255 bytes. */
void mdns_write_string(struct mdns_writer *writer, struct bytes prefix, struct bytes text);
/* False when it did not fit: the message is what it was before the record. */
bool mdns_record_end(struct mdns_writer *writer);
/* The message's size; 0 when even a question did not fit. */
size_t mdns_writer_end(struct mdns_writer *writer);

#endif
