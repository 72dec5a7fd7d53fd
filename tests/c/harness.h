/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A test is a function; each runs in a process of its own, under a watchdog, and may leave no descriptor behind. */
#ifndef CARRICK_TEST_HARNESS_H
#define CARRICK_TEST_HARNESS_H

#include "carrick.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOREVER ((int64_t)-1)
#define SECOND ((int64_t)1000000000)

/* Ends the test unless the condition holds. */
#define CHECK(condition)                                                                                       \
    do {                                                                                                       \
        if (!(condition)) {                                                                                    \
            char check_text_[256] = "";                                                                        \
            size_t check_len_ = 0;                                                                             \
            (void)carrick_last_error(check_text_, sizeof check_text_ - 1, &check_len_);                        \
            fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__, #condition, check_text_); \
            exit(1);                                                                                           \
        }                                                                                                      \
    } while (0)

/* Ends the test unless the call returns the status. */
#define STATUS(wanted, call)                                                                                   \
    do {                                                                                                       \
        carrick_status status_got_ = (call);                                                                   \
        if (status_got_ != (wanted)) {                                                                         \
            char status_text_[256] = "";                                                                       \
            size_t status_len_ = 0;                                                                            \
            (void)carrick_last_error(status_text_, sizeof status_text_ - 1, &status_len_);                     \
            fprintf(stderr, "%s:%d: %s gave %s, not %s (%s)\n", __FILE__, __LINE__, #call,                     \
                    carrick_status_name(status_got_), carrick_status_name(wanted), status_text_);              \
            exit(1);                                                                                           \
        }                                                                                                      \
    } while (0)

#define OK(call) STATUS(CARRICK_OK, call)

struct test {
    const char *name;
    void (*run)(void);
};

int run_tests(const struct test *tests, size_t count, int argc, char **argv);
int open_descriptors(void);

/* Ends a child that a test has forked, as _exit does. */
void end_child(int code);

#endif
