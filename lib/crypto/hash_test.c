/* Tests of SHA-256, at once and in pieces. */
#include "crypto/hash.h"

#include "crypto/sign.h"
#include "util/testing.h"

static int start(void **state) {
    (void)state;
    return crypto_init();
}

/* FIPS 180-4 examples (NIST, "SHA256.pdf") and the empty message. */
static const struct {
    const char *message;
    const char *digest;
} vectors[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static void agrees_with_published_vectors(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        struct sha256_digest digest = sha256(bytes_of_string(vectors[i].message));
        assert_bytes_equal(BYTES_ARRAY(digest.bytes), test_hex(vectors[i].digest));
    }
    struct sha256_digest nothing = sha256(bytes_of(NULL, 0));
    assert_bytes_equal(BYTES_ARRAY(nothing.bytes), test_hex(vectors[0].digest));
}

static void a_million_letters_in_pieces(void **state) {
    (void)state;
    char letters[1000];
    memset(letters, 'a', sizeof(letters));
    struct hash *hash = hash_new();
    assert_non_null(hash);
    for (int i = 0; i < 1000; i++) {
        hash_update(hash, bytes_of(letters, sizeof(letters)));
    }
    struct sha256_digest digest = hash_digest(hash);
    hash_free(hash);
    /* FIPS 180-4 examples. */
    assert_bytes_equal(
        BYTES_ARRAY(digest.bytes),
        test_hex("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"));
}

/* Through all block boundaries, with the digest asked for at both ends of the pieces. */
static void pieces_give_the_digest_of_the_whole(void **state) {
    (void)state;
    uint64_t seed = 180;
    uint8_t message[200];
    test_random_fill(&seed, message, sizeof(message));
    for (size_t cut = 0; cut <= sizeof(message); cut++) {
        struct bytes first = bytes_of(message, cut);
        struct hash *hash = hash_new();
        assert_non_null(hash);
        hash_update(hash, first);
        struct sha256_digest half = hash_digest(hash);
        struct sha256_digest again = hash_digest(hash);
        hash_update(hash, bytes_slice(BYTES_ARRAY(message), cut, sizeof(message)));
        struct sha256_digest whole = hash_digest(hash);
        hash_free(hash);
        struct sha256_digest expected_half = sha256(first);
        struct sha256_digest expected = sha256(BYTES_ARRAY(message));
        assert_true(sha256_equal(&half, &expected_half));
        assert_true(sha256_equal(&again, &expected_half));
        assert_true(sha256_equal(&whole, &expected));
    }
}

static void fresh_hash_is_the_empty_one(void **state) {
    (void)state;
    struct hash *hash = hash_new();
    assert_non_null(hash);
    hash_update(hash, bytes_of(NULL, 0));
    struct sha256_digest digest = hash_digest(hash);
    assert_bytes_equal(BYTES_ARRAY(digest.bytes), test_hex(vectors[0].digest));
    hash_free(hash);
    hash_free(NULL);
}

static void equality_looks_at_every_byte(void **state) {
    (void)state;
    struct sha256_digest a = sha256(BYTES_LITERAL("a"));
    for (size_t i = 0; i < SHA256_SIZE; i++) {
        struct sha256_digest b = a;
        assert_true(sha256_equal(&a, &b));
        b.bytes[i] ^= 1;
        assert_false(sha256_equal(&a, &b));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_published_vectors),
        cmocka_unit_test(a_million_letters_in_pieces),
        cmocka_unit_test(pieces_give_the_digest_of_the_whole),
        cmocka_unit_test(fresh_hash_is_the_empty_one),
        cmocka_unit_test(equality_looks_at_every_byte),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
