/* Assertions for our own bugs, kept in release builds. A peer's bytes are never asserted on. */
#ifndef UTIL_ENSURE_H
#define UTIL_ENSURE_H

#define ENSURE(condition) ((condition) ? (void)0 : ensure_failed(#condition, __FILE__, __LINE__))

/* Prints the condition and aborts. */
__attribute__((noreturn, cold)) void ensure_failed(const char *condition, const char *file,
                                                   int line);

#endif
