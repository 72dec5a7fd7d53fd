/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Parts that the examples with processes need: to start one and wait for it, and queues of text. Objects that processes
 * share are made before they are started. */
#ifndef CARRICK_EXAMPLE_PROCESS_H
#define CARRICK_EXAMPLE_PROCESS_H

#include "example.h"

/* Runs a function in a process of its own, which gets a copy of the argument. */
static inline carrick_process *started(carrick_process_fn function, const void *argument, size_t len)
{
    carrick_process *process = NULL;
    CHECK(carrick_process_start(function, argument, len, NULL, &process));
    return process;
}

/* The same as a daemon: the kernel kills it when this process ends. */
static inline carrick_process *started_daemon(carrick_process_fn function)
{
    carrick_process_options options;
    carrick_process *process = NULL;
    CHECK(carrick_process_options_init(&options));
    options.daemon = 1;
    CHECK(carrick_process_start(function, NULL, 0, &options, &process));
    return process;
}

/* Waits for the end of a process and frees the handle; the exit code, or the negative number of a signal. */
static inline int ended(carrick_process *process)
{
    int32_t code = 0;
    CHECK(carrick_process_join(process, FOREVER, &code));
    carrick_process_free(process);
    return code;
}

/* A queue of at most so many items; 0 is no limit. */
static inline carrick_queue *new_queue(uint64_t max_items)
{
    carrick_queue_options options;
    carrick_queue *queue = NULL;
    CHECK(carrick_queue_options_init(&options));
    options.max_items = max_items;
    CHECK(carrick_queue_new(&options, &queue));
    return queue;
}

static inline void put(carrick_queue *queue, const char *text)
{
    CHECK(carrick_queue_put(queue, (const uint8_t *)text, strlen(text), FOREVER));
}

/* Takes a text of less than cap bytes and returns its length. */
static inline size_t get(carrick_queue *queue, char *text, size_t cap)
{
    size_t len = 0;
    CHECK(carrick_queue_get_into(queue, (uint8_t *)text, cap - 1, FOREVER, &len));
    text[len] = '\0';
    return len;
}

#endif
