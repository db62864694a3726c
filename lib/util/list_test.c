/* Tests of the intrusive list against an array of what it should hold. */
#include "util/list.h"

#include "util/testing.h"

struct item {
    int number;
    struct list_node node;
};

static void check_order(const struct list *list, struct item *const *expected, size_t count) {
    size_t place = 0;
    assert_int_equal(list->size, count);
    assert_true(list_empty(list) == (count == 0));
    for (struct list_node *node = list_first(list); node != NULL; node = list_next(list, node)) {
        assert_true(place < count);
        assert_ptr_equal(LIST_ENTRY(node, struct item, node), expected[place]);
        place++;
    }
    assert_int_equal(place, count);
}

static void empty_list_has_no_nodes(void **state) {
    (void)state;
    struct list list;
    list_init(&list);
    assert_true(list_empty(&list));
    assert_null(list_first(&list));
    struct list_node *none = list_first(&list);
    assert_null(LIST_ENTRY(none, struct item, node));
}

static void append_and_remove_against_a_reference(void **state) {
    (void)state;
    static struct item items[20];
    struct item *order[20];
    size_t count = 0;
    struct list list;
    uint64_t seed = 4;
    list_init(&list);
    for (int round = 0; round < 20000; round++) {
        struct item *item = &items[test_random_below(&seed, 20)];
        if (list_linked(&item->node)) {
            list_remove(&list, &item->node);
            assert_false(list_linked(&item->node));
            size_t place = 0;
            while (order[place] != item) {
                place++;
            }
            memmove(&order[place], &order[place + 1], (count - place - 1) * sizeof(order[0]));
            count--;
        } else {
            list_append(&list, &item->node);
            assert_true(list_linked(&item->node));
            order[count++] = item;
        }
        check_order(&list, order, count);
    }
}

static void nodes_may_move_between_lists(void **state) {
    (void)state;
    struct item a = {.number = 1};
    struct list first;
    struct list second;
    list_init(&first);
    list_init(&second);
    list_append(&first, &a.node);
    list_remove(&first, &a.node);
    list_append(&second, &a.node);
    struct item *expected[] = {&a};
    check_order(&first, NULL, 0);
    check_order(&second, expected, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_list_has_no_nodes),
        cmocka_unit_test(append_and_remove_against_a_reference),
        cmocka_unit_test(nodes_may_move_between_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
