/* Intrusive doubly linked list: the links live in the objects, nothing is allocated. */
#ifndef UTIL_LIST_H
#define UTIL_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "util/compiler.h"

struct list_node {
    struct list_node *prev;
    struct list_node *next;
};

/* The ring's head. A node that is in no list is zeroed. */
struct list {
    struct list_node head;
    size_t size;
};

static inline void list_init(struct list *list) {
    list->head.prev = &list->head;
    list->head.next = &list->head;
    list->size = 0;
}

static inline bool list_empty(const struct list *list) {
    return list->size == 0;
}
static inline bool list_linked(const struct list_node *node) {
    return node->next != NULL;
}

static inline void list_append(struct list *list, struct list_node *node) {
    node->prev = list->head.prev;
    node->next = &list->head;
    node->prev->next = node;
    list->head.prev = node;
    list->size++;
}

static inline void list_remove(struct list *list, struct list_node *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = NULL;
    node->next = NULL;
    list->size--;
}

/* The first node, or NULL; and the one after `node`, or NULL. */
static inline struct list_node *list_first(const struct list *list) {
    return list->size > 0 ? list->head.next : NULL;
}
static inline struct list_node *list_next(const struct list *list, const struct list_node *node) {
    return node->next != &list->head ? node->next : NULL;
}

/* The object of `type` whose link `member` is `node`; NULL for NULL. */
#define LIST_ENTRY(node, type, member) ((node) != NULL ? CONTAINER_OF(node, type, member) : NULL)

#endif
