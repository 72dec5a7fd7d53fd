/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Signals that arrive while a call waits: their handlers run and the call goes on, until its deadline. */
#define _XOPEN_SOURCE 700
#include "harness.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

#define GOES_ON_TO(wanted, call)                                   \
    do {                                                           \
        handled[0] = handled[1] = handled[2] = 0;                  \
        tick(1000000);                                             \
        STATUS(wanted, call);                                      \
        tick(0);                                                   \
        CHECK(handled[0] > 0 && handled[1] > 0 && handled[2] > 0); \
    } while (0)

#define GOES_ON(call) GOES_ON_TO(CARRICK_E_TIMEOUT, call)

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

/* Makes a sender wait soon. (valgrind looks at all of a buffer before each system call, and begins it again when a
 * signal comes meanwhile: with megabytes it would never be done.) */
static void make_send_buffer_small(const carrick_stream *stream)
{
    int fd = -1, size = 4096;
    OK(carrick_stream_fd(stream, &fd));
    CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
}

static void the_calls_of_streams_and_connections_go_on(void)
{
    enum { LARGE = 256 << 10 };
    carrick_stream *left = NULL, *right = NULL, *accepted = NULL;
    carrick_connection *connection = NULL;
    carrick_listener *listener = NULL;
    carrick_datagram *datagram = NULL;
    uint8_t byte = 0, *data = NULL, *large = calloc(1, LARGE);
    char address[100];
    size_t len = 0, address_len = 0;
    uint64_t length = 0;
    int32_t ready = 1;
    CHECK(large != NULL);
    make_ticks();
    OK(carrick_stream_pair(&left, &right));
    make_send_buffer_small(left);
    make_send_buffer_small(right);
    OK(carrick_connection_new(left, NULL, &connection));
    GOES_ON(carrick_stream_recv(right, &byte, 1, WAIT, &len));
    GOES_ON_TO(CARRICK_OK, carrick_stream_wait_readable(right, WAIT, &ready));
    CHECK(ready == 0);
    GOES_ON(carrick_connection_recv(connection, WAIT, &data, &len));
    GOES_ON(carrick_connection_recv_into(connection, &byte, 1, WAIT, &len));
    GOES_ON(carrick_connection_next_length(connection, WAIT, &length));
    GOES_ON(carrick_stream_send_all(right, large, LARGE, WAIT));
    GOES_ON(carrick_connection_send(connection, large, LARGE, WAIT));
    OK(carrick_listener_bind(CARRICK_TEXT("127.0.0.1:0"), NULL, &listener));
    GOES_ON(carrick_listener_accept(listener, WAIT, &accepted));
    OK(carrick_datagram_bind(CARRICK_TEXT("127.0.0.1:0"), &datagram));
    GOES_ON(carrick_datagram_recv_from(datagram, &byte, 1, WAIT, &len, address, sizeof address, &address_len));
    carrick_datagram_free(datagram);
    carrick_listener_free(listener);
    carrick_connection_free(connection);
    carrick_stream_free(left);
    carrick_stream_free(right);
    free(large);
}

static void a_dead_holder_is_seen_though_no_sleep_ends_in_full(void)
{
    carrick_lock *lock = NULL;
    pid_t child = -1;
    make_ticks();
    OK(carrick_lock_new(NULL, &lock));
    child = fork();
    if (child == 0)
        end_child(carrick_lock_acquire(lock, FOREVER) != CARRICK_OK);
    CHECK(child > 0 && waitpid(child, NULL, 0) == child);
    /* More often than anybody looks after the holder. */
    tick(500000);
    STATUS(CARRICK_E_OWNER_DIED, carrick_lock_acquire(lock, FOREVER));
    tick(0);
    OK(carrick_lock_release(lock));
    carrick_lock_free(lock);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"the_calls_of_a_queue_go_on", the_calls_of_a_queue_go_on},
        {"waits_for_locks_and_what_is_built_of_them_go_on", waits_for_locks_and_what_is_built_of_them_go_on},
        {"the_calls_of_streams_and_connections_go_on", the_calls_of_streams_and_connections_go_on},
        {"a_dead_holder_is_seen_though_no_sleep_ends_in_full", a_dead_holder_is_seen_though_no_sleep_ends_in_full},
    };
    return run_tests(tests, sizeof tests / sizeof *tests, argc, argv);
}
