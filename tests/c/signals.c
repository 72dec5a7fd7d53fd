/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Signals that arrive while a call waits: their handlers run and the call goes on, until its deadline. */
#define _XOPEN_SOURCE 700
#include "harness.h"

#include <signal.h>
#include <time.h>

/* How long each call waits; each of the signals comes every millisecond. */
#define WAIT (SECOND / 10)
#define SIGNALS 3

static const int signals[SIGNALS] = {SIGUSR1, SIGINT, SIGTERM};
static volatile sig_atomic_t handled[SIGNALS];

static void handle(int number)
{
    int i;
    for (i = 0; i < SIGNALS; i++)
        if (signals[i] == number)
            handled[i]++;
}

static timer_t ticks[SIGNALS];

static void tick(long nanoseconds)
{
    struct itimerspec every = {{0, nanoseconds}, {0, nanoseconds}};
    int i;
    for (i = 0; i < SIGNALS; i++)
        CHECK(timer_settime(ticks[i], 0, &every, NULL) == 0);
}

/* Without SA_RESTART: every system call that waits ends with EINTR. */
static void make_ticks(void)
{
    struct sigevent event;
    struct sigaction action;
    int i;
    memset(&event, 0, sizeof event);
    memset(&action, 0, sizeof action);
    event.sigev_notify = SIGEV_SIGNAL;
    action.sa_handler = handle;
    for (i = 0; i < SIGNALS; i++) {
        event.sigev_signo = signals[i];
        CHECK(sigaction(signals[i], &action, NULL) == 0);
        CHECK(timer_create(CLOCK_MONOTONIC, &event, &ticks[i]) == 0);
    }
}

#define GOES_ON(call)                                      \
    do {                                                   \
        handled[0] = handled[1] = handled[2] = 0;          \
        tick(1000000);                                     \
        STATUS(CARRICK_E_TIMEOUT, call);                   \
        tick(0);                                           \
        CHECK(handled[0] > 0 && handled[1] > 0 && handled[2] > 0); \
    } while (0)

static void never_called(void *user_data, const uint8_t *data, size_t data_len)
{
    (void)user_data, (void)data, (void)data_len;
    CHECK(0);
}

static void the_calls_of_a_queue_go_on(void)
{
    carrick_queue_options options;
    carrick_queue *queue = NULL;
    uint8_t byte = 0, *data = NULL;
    carrick_slice parts[2] = {{(const uint8_t *)"two ", 4}, {(const uint8_t *)"parts", 5}};
    uint64_t count = 0;
    size_t len = 0;
    make_ticks();
    OK(carrick_queue_options_init(&options));
    options.max_items = 1;
    OK(carrick_queue_new(&options, &queue));
    GOES_ON(carrick_queue_get(queue, WAIT, &data, &len));
    GOES_ON(carrick_queue_get_into(queue, &byte, 1, WAIT, &len));
    GOES_ON(carrick_queue_get_in_place(queue, never_called, NULL, WAIT));
    OK(carrick_queue_put(queue, &byte, 1, FOREVER));
    GOES_ON(carrick_queue_put(queue, &byte, 1, WAIT));
    GOES_ON(carrick_queue_put_vectored(queue, parts, 2, WAIT));
    /* Nothing was put. */
    OK(carrick_queue_len(queue, &count));
    CHECK(count == 1);
    GOES_ON(carrick_queue_join(queue, WAIT));
    OK(carrick_queue_get(queue, FOREVER, &data, &len));
    CHECK(len == 1);
    carrick_bytes_free(data, len);
    carrick_queue_free(queue);
}

static void waits_for_locks_and_what_is_built_of_them_go_on(void)
{
    carrick_lock *lock = NULL;
    carrick_semaphore *semaphore = NULL;
    carrick_condition *condition = NULL;
    carrick_event *event = NULL;
    carrick_barrier *barrier = NULL;
    uint32_t turn = 0;
    make_ticks();
    OK(carrick_lock_new(NULL, &lock));
    OK(carrick_semaphore_new(0, 1, &semaphore));
    OK(carrick_condition_new(&condition));
    OK(carrick_event_new(&event));
    OK(carrick_barrier_new(2, &barrier));
    OK(carrick_lock_acquire(lock, FOREVER));
    GOES_ON(carrick_lock_acquire(lock, WAIT));
    /* It has the lock again afterwards. */
    GOES_ON(carrick_condition_wait(condition, lock, WAIT));
    OK(carrick_lock_release(lock));
    GOES_ON(carrick_semaphore_acquire(semaphore, WAIT));
    GOES_ON(carrick_event_wait(event, WAIT));
    GOES_ON(carrick_barrier_wait(barrier, WAIT, &turn));
    carrick_barrier_free(barrier);
    carrick_event_free(event);
    carrick_condition_free(condition);
    carrick_semaphore_free(semaphore);
    carrick_lock_free(lock);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"the_calls_of_a_queue_go_on", the_calls_of_a_queue_go_on},
        {"waits_for_locks_and_what_is_built_of_them_go_on", waits_for_locks_and_what_is_built_of_them_go_on},
    };
    return run_tests(tests, sizeof tests / sizeof *tests, argc, argv);
}
