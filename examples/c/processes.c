/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A chapter on processes: starting and joining, isolation, daemons, a lock, a pipe, queues with and without waiting.
 * Each function that a process runs is on its own; what they share was made before they were started. */
#define _POSIX_C_SOURCE 200809L
#include "example.h"

#include <unistd.h>

static int count = 100, tickets;
static carrick_lock *lock;
static carrick_event *never;
static carrick_queue *items, *results;

static carrick_process *started(carrick_process_fn function, uint8_t argument, int daemon, int channel)
{
    carrick_process_options options;
    carrick_process *process = NULL;
    CHECK(carrick_process_options_init(&options));
    options.daemon = daemon;
    options.channel = channel;
    CHECK(carrick_process_start(function, &argument, 1, &options, &process));
    return process;
}

static int code(carrick_process *process)
{
    int32_t code = 0;
    CHECK(carrick_process_join(process, FOREVER, &code));
    carrick_process_free(process);
    return code;
}

static carrick_queue *made(uint64_t max_items)
{
    carrick_queue_options options;
    carrick_queue *queue = NULL;
    CHECK(carrick_queue_options_init(&options));
    options.max_items = max_items;
    CHECK(carrick_queue_new(&options, &queue));
    return queue;
}

static void put(carrick_queue *queue, const char *text)
{
    CHECK(carrick_queue_put(queue, (const uint8_t *)text, strlen(text), FOREVER));
}

static size_t get(carrick_queue *queue, char *text, size_t cap)
{
    size_t len = 0;
    CHECK(carrick_queue_get_into(queue, (uint8_t *)text, cap - 1, FOREVER, &len));
    text[len] = '\0';
    return len;
}

static int32_t square(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    (void)len, (void)channel;
    return argument[0] * argument[0];
}

static int32_t forget(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    (void)argument, (void)len, (void)channel;
    count = 0;
    return 0;
}

static int32_t sleep_for_ever(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    (void)argument, (void)len, (void)channel;
    CHECK(carrick_event_wait(never, FOREVER));
    return 0;
}

static int32_t buy(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    char text[16] = "";
    int left;
    (void)argument, (void)len, (void)channel;
    take(lock);
    if (pread(tickets, text, sizeof text - 1, 0) < 1)
        return 2;
    left = atoi(text);
    if (left > 0 && pwrite(tickets, text, (size_t)sprintf(text, "%d", left - 1), 0) < 1)
        return 2;
    CHECK(carrick_lock_release(lock));
    return left > 0 ? 0 : 1;
}

static int32_t shouting(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    uint8_t text[64];
    (void)argument;
    CHECK(carrick_connection_recv_into(channel, text, sizeof text, FOREVER, &len));
    shout(text, len);
    CHECK(carrick_connection_send(channel, text, len, FOREVER));
    return 0;
}

static int32_t produce(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    (void)argument, (void)len, (void)channel;
    for (int i = 0; i < 5; i++)
        put(items, "item");
    return 0;
}

static int32_t consume(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    char text[16];
    int taken = 0;
    (void)argument, (void)len, (void)channel;
    while (get(items, text, sizeof text) > 0)
        taken++;
    sprintf(text, "%d", taken);
    put(results, text);
    return 0;
}

static int32_t work(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    char text[16];
    (void)argument, (void)len, (void)channel;
    do {
        len = get(items, text, sizeof text);
        CHECK(carrick_queue_task_done(items));
    } while (len > 0);
    return 0;
}

static void many_and_isolation(void)
{
    carrick_process *processes[3];
    for (int i = 0; i < 3; i++)
        processes[i] = started(square, (uint8_t)(i + 1), 0, 0);
    printf("many:");
    for (int i = 0; i < 3; i++)
        printf(" %d", code(processes[i]));
    code(started(forget, 0, 0, 0));
    printf("\nisolation: %d\n", count);
}

static void daemons(void)
{
    carrick_process *process;
    int32_t alive = 0;
    CHECK(carrick_event_new(&never));
    process = started(sleep_for_ever, 0, 1, 0);
    CHECK(carrick_process_is_alive(process, &alive));
    CHECK(carrick_process_terminate(process));
    printf("daemon: %s %d\n", alive ? "alive" : "dead", code(process));
    carrick_event_free(never);
}

static void tickets_with_a_lock(void)
{
    FILE *file = tmpfile();
    carrick_process *buyers[6];
    int sold = 0;
    if (file == NULL || pwrite(tickets = fileno(file), "3", 1, 0) != 1)
        exit(1);
    CHECK(carrick_lock_new(NULL, &lock));
    for (int i = 0; i < 6; i++)
        buyers[i] = started(buy, 0, 0, 0);
    for (int i = 0; i < 6; i++)
        sold += code(buyers[i]) == 0;
    printf("tickets: %d sold, %d refused\n", sold, 6 - sold);
    carrick_lock_free(lock);
    fclose(file);
}

static void pipes(void)
{
    carrick_process *process = started(shouting, 0, 0, 1);
    carrick_connection *channel = NULL;
    uint8_t text[64];
    size_t len = 0;
    CHECK(carrick_process_take_channel(process, &channel));
    CHECK(carrick_connection_send(channel, (const uint8_t *)"hello", 5, FOREVER));
    CHECK(carrick_connection_recv_into(channel, text, sizeof text, FOREVER, &len));
    printf("pipe: %.*s\n", (int)len, (const char *)text);
    code(process);
    carrick_connection_free(channel);
}

static void without_waiting(void)
{
    carrick_queue *small = made(1);
    uint8_t text[8];
    size_t len = 0;
    CHECK(carrick_queue_put(small, (const uint8_t *)"one", 3, NOW));
    if (carrick_queue_put(small, (const uint8_t *)"two", 3, NOW) == CARRICK_E_FULL)
        printf("nowait: full");
    CHECK(carrick_queue_get_into(small, text, sizeof text, NOW, &len));
    if (carrick_queue_get_into(small, text, sizeof text, NOW, &len) == CARRICK_E_EMPTY)
        printf(", empty\n");
    carrick_queue_free(small);
}

static void producers_and_consumers(void)
{
    carrick_process *processes[4];
    char text[16];
    int taken = 0;
    items = made(0);
    results = made(0);
    for (int i = 0; i < 4; i++)
        processes[i] = started(i < 2 ? produce : consume, 0, 0, 0);
    code(processes[0]);
    code(processes[1]);
    put(items, "");
    put(items, "");
    for (int i = 0; i < 2; i++) {
        get(results, text, sizeof text);
        taken += atoi(text);
        code(processes[2 + i]);
    }
    printf("consumed: %d\n", taken);
    carrick_queue_free(items);
    carrick_queue_free(results);
}

static void joined(void)
{
    carrick_process *worker;
    items = made(0);
    worker = started(work, 0, 0, 0);
    for (int i = 0; i < 3; i++)
        put(items, "task");
    put(items, "");
    CHECK(carrick_queue_join(items, FOREVER));
    printf("joined: %d\n", code(worker));
    carrick_queue_free(items);
}

int main(void)
{
    many_and_isolation();
    daemons();
    tickets_with_a_lock();
    pipes();
    without_waiting();
    producers_and_consumers();
    joined();
    return 0;
}
