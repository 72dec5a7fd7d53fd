/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Messages between two processes by carrick's queues. Arguments: copy|in-place stream|roundtrip LENGTH COUNT.
 * The receiver reads a copy of each message, or reads it where the sender wrote it.
 * Prints what benches/peers/channels prints: messages per second, or microseconds of a round trip. */
#include <carrick.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static size_t length;
static long count;
static int in_place;
static uint8_t *body, *room;
/* Several words at a time, as the compiler has it read them in Rust. */
typedef uint64_t words __attribute__((vector_size(16)));
/* The result of the receiver's reading, so that it must read. */
static volatile words all;

static void check(carrick_status status, const char *what) {
    if (status != CARRICK_OK) {
        fprintf(stderr, "%s: %s\n", what, carrick_status_name(status));
        _exit(1);
    }
}

static void put(const carrick_queue *queue) { check(carrick_queue_put(queue, body, length, -1), "put"); }

static void read_all(void *unused, const uint8_t *data, size_t data_len) {
    (void)unused;
    if (data_len != length) {
        fprintf(stderr, "%zu bytes came\n", data_len);
        _exit(1);
    }
    words first = {0}, second = {0}, one, other;
    for (const uint8_t *end = data + data_len; (size_t)(end - data) >= 2 * sizeof one; data += 2 * sizeof one) {
        memcpy(&one, data, sizeof one);
        memcpy(&other, data + sizeof one, sizeof other);
        first ^= one;
        second ^= other;
    }
    all = first ^ second;
}

static void get(const carrick_queue *queue) {
    if (in_place) {
        check(carrick_queue_get_in_place(queue, read_all, NULL, -1), "get");
        return;
    }
    size_t got = 0;
    check(carrick_queue_get_into(queue, room, length, -1, &got), "get");
    read_all(NULL, room, got);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: copy|in-place stream|roundtrip LENGTH COUNT\n");
        return 2;
    }
    in_place = strcmp(argv[1], "in-place") == 0;
    int streams = strcmp(argv[2], "stream") == 0;
    length = strtoul(argv[3], NULL, 10);
    count = strtol(argv[4], NULL, 10);
    body = calloc(length + 1, 1);
    memset(body, 7, length);
    room = calloc(length + 1, 1);
    carrick_queue *there = NULL, *back = NULL;
    check(carrick_queue_new(NULL, &there), "queue");
    check(carrick_queue_new(NULL, &back), "queue");
    pid_t child = fork();
    if (child < 0) {
        perror("fork");
        return 1;
    }
    if (child == 0) {
        for (long i = 0; i <= count; i++) {
            if (!streams) {
                get(there);
            }
            put(back);
        }
        _exit(0);
    }
    double started = 0;
    for (long i = 0; i <= count; i++) {
        if (!streams) {
            put(there);
        }
        get(back);
        if (i == 0) {
            started = now();
        }
    }
    double elapsed = now() - started;
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) {
        fprintf(stderr, "the child failed\n");
        return 1;
    }
    printf("%f\n", streams ? (double)count / elapsed : elapsed / (double)count * 1e6);
    carrick_queue_free(there);
    carrick_queue_free(back);
    free(body);
    free(room);
    return 0;
}
