/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A worker of squares.py. Arguments: two descriptors for each of the queues of tasks and of results, descriptor and
 * number of the lock and of the event, the descriptor of the ledger. */
#define _POSIX_C_SOURCE 200809L
#include "../c/example.h"

#include <unistd.h>

static carrick_queue *attach(char **descriptors)
{
    carrick_queue *queue = NULL;
    CHECK(carrick_queue_attach(atoi(descriptors[0]), atoi(descriptors[1]), &queue));
    return queue;
}

static void count(int ledger)
{
    char text[32] = "";
    int length;
    if (pread(ledger, text, sizeof text - 1, 0) < 1)
        exit(3);
    length = sprintf(text, "%ld", strtol(text, NULL, 10) + 1);
    if (pwrite(ledger, text, (size_t)length, 0) != length)
        exit(3);
}

int main(int argc, char **argv)
{
    carrick_queue *tasks, *results;
    carrick_lock *lock = NULL;
    carrick_event *go = NULL;
    char text[32];
    size_t len = 0;
    int ledger;
    if (argc != 10)
        return 2;
    tasks = attach(argv + 1);
    results = attach(argv + 3);
    CHECK(carrick_lock_attach(atoi(argv[5]), (uint32_t)atoi(argv[6]), NULL, &lock));
    CHECK(carrick_event_attach(atoi(argv[7]), (uint32_t)atoi(argv[8]), &go));
    ledger = atoi(argv[9]);
    CHECK(carrick_queue_put(results, (const uint8_t *)"C", 1, FOREVER));
    CHECK(carrick_event_wait(go, FOREVER));
    for (;;) {
        long number;
        CHECK(carrick_queue_get_into(tasks, (uint8_t *)text, sizeof text - 1, FOREVER, &len));
        if (len == 0)
            break;
        text[len] = '\0';
        number = strtol(text, NULL, 10);
        take(lock);
        count(ledger);
        CHECK(carrick_lock_release(lock));
        len = (size_t)sprintf(text, "%ld", number * number);
        CHECK(carrick_queue_put(results, (const uint8_t *)text, len, FOREVER));
    }
    carrick_event_free(go);
    carrick_lock_free(lock);
    carrick_queue_free(tasks);
    carrick_queue_free(results);
    return 0;
}
