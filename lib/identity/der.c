/* Walking DER. */
#include "identity/der.h"

/* More than four length bytes would exceed anything that is looked at. */
#define DER_LENGTH_BYTES_MAX 4

static struct der der_fail(struct cursor *in) {
    in->error = 0;
    cursor_fail(in, PLASM_MALFORMED);
    in->left = bytes_of(NULL, 0);
    return (struct der){0};
}

/* Lengths must be in their shortest form. */
static bool der_length(struct cursor *in, size_t *ret_length) {
    uint8_t first = cursor_u8(in);
    if (first < 0x80) {
        *ret_length = first;
        return true;
    }
    size_t count = first & 0x7f;
    if (count == 0 || count > DER_LENGTH_BYTES_MAX) {
        return false;
    }
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        length = length << 8 | cursor_u8(in);
    }
    size_t least = count == 1 ? 0x80 : (size_t)1 << (8 * (count - 1));
    *ret_length = length;
    return in->error == 0 && length >= least;
}

struct der der_next(struct cursor *in) {
    struct bytes from = in->left;
    struct der der = {.tag = cursor_u8(in)};
    size_t length = 0;
    if (in->error != 0 || (der.tag & 0x1f) == 0x1f || !der_length(in, &length)) {
        return der_fail(in);
    }
    der.content = cursor_take(in, length);
    if (in->error != 0) {
        return der_fail(in);
    }
    der.whole = bytes_slice(from, 0, from.size - in->left.size);
    return der;
}

struct der der_expect(struct cursor *in, uint8_t tag) {
    if (!der_next_is(in, tag)) {
        return der_fail(in);
    }
    return der_next(in);
}

bool der_next_is(const struct cursor *in, uint8_t tag) {
    return in->error == 0 && in->left.size > 0 && in->left.data[0] == tag;
}

struct cursor der_enter(struct cursor *in, uint8_t tag) {
    struct cursor inside = cursor_of(der_expect(in, tag).content);
    inside.error = in->error;
    return inside;
}

void der_end(struct cursor *in) {
    if (in->error == 0 && in->left.size > 0) {
        (void)der_fail(in);
    }
}

/* Two decimal digits at `offset`, within [least, most]; -1. */
static int two_digits(struct bytes text, size_t offset, int least, int most) {
    int tens = text.data[offset] - '0';
    int ones = text.data[offset + 1] - '0';
    if (tens < 0 || tens > 9 || ones < 0 || ones > 9) {
        return -1;
    }
    int value = 10 * tens + ones;
    return value >= least && value <= most ? value : -1;
}

static bool is_leap(int year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days from 1970-01-01 to the first of January; negative before. */
static int64_t days_to_year(int year) {
    int64_t before = year - 1;
    int64_t days = 365 * before + before / 4 - before / 100 + before / 400;
    return days - 719162; /* the same sum for 1970 */
}

int64_t der_time(struct cursor *in) {
    static const int days_before_month[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    static const int days_of_month[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct der der = der_next(in);
    struct bytes text = der.content;
    int century = 0;
    size_t at = 0;
    if (in->error == 0 && der.tag == DER_GENERALIZED_TIME && text.size == 15) {
        century = two_digits(text, 0, 0, 99);
        at = 2;
    } else if (in->error != 0 || der.tag != DER_UTC_TIME || text.size != 13) {
        (void)der_fail(in);
        return 0;
    }
    int year = two_digits(text, at, 0, 99);
    int month = two_digits(text, at + 2, 1, 12);
    int day = two_digits(text, at + 4, 1, 31);
    int hour = two_digits(text, at + 6, 0, 23);
    int minute = two_digits(text, at + 8, 0, 59);
    int second = two_digits(text, at + 10, 0, 59);
    if (century < 0 || year < 0 || month < 0 || day < 0 || hour < 0 || minute < 0 || second < 0 ||
        text.data[text.size - 1] != 'Z') {
        (void)der_fail(in);
        return 0;
    }
    if (der.tag == DER_UTC_TIME) {
        century = year >= 50 ? 19 : 20;
    }
    year += 100 * century;
    bool leap_february = month == 2 && is_leap(year);
    if (year == 0 || day > days_of_month[month - 1] + (leap_february ? 1 : 0)) {
        (void)der_fail(in);
        return 0;
    }
    int64_t days = days_to_year(year) + days_before_month[month - 1] + day - 1;
    days += month > 2 && is_leap(year) ? 1 : 0;
    return ((days * 24 + hour) * 60 + minute) * 60 + second;
}
