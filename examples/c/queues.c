/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A chapter on what processes tell each other: a result in a queue, a pipe, queues that are full and empty, producers
 * and consumers, a queue that can be joined. */
#include "process.h"

#define SHORT ((int64_t)10000000) /* 10 ms */

static carrick_queue *items;

static int32_t add(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    char text[16];
    (void)len, (void)channel;
    sprintf(text, "%d", argument[0] + argument[1]);
    put(items, text);
    return 0;
}

static void a_result(void)
{
    const uint8_t numbers[] = {2, 3};
    carrick_process *process;
    char text[16];
    items = new_queue(0);
    process = started(add, numbers, sizeof numbers);
    get(items, text, sizeof text);
    printf("queue: 2 + 3 = %s\n", text);
    ended(process);
    carrick_queue_free(items);
}

/* The other end of the pipe; 0 when it was told that nobody is there any more. */
static int32_t answer(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    uint8_t text[64];
    carrick_status status;
    (void)argument;
    while ((status = carrick_connection_recv_into(channel, text, sizeof text, FOREVER, &len)) == CARRICK_OK) {
        shout(text, len);
        CHECK(carrick_connection_send(channel, text, len, FOREVER));
    }
    return status == CARRICK_E_EOF ? 0 : 1;
}

static void a_pipe(void)
{
    static const char *const words[] = {"belay", "haul in"};
    carrick_process_options options;
    carrick_process *process = NULL;
    carrick_connection *channel = NULL;
    CHECK(carrick_process_options_init(&options));
    options.channel = 1;
    CHECK(carrick_process_start(answer, NULL, 0, &options, &process));
    CHECK(carrick_process_take_channel(process, &channel));
    printf("pipe:");
    for (int i = 0; i < 2; i++) {
        uint8_t text[64];
        size_t len = 0;
        CHECK(carrick_connection_send(channel, (const uint8_t *)words[i], strlen(words[i]), FOREVER));
        CHECK(carrick_connection_recv_into(channel, text, sizeof text, FOREVER, &len));
        printf(" %.*s,", (int)len, (const char *)text);
    }
    carrick_connection_free(channel);
    printf(" %s\n", ended(process) == 0 ? "the end" : "an error");
}

static void full_and_empty(void)
{
    carrick_queue *small = new_queue(3);
    const uint8_t item[] = "item";
    uint8_t text[8];
    size_t len = 0;
    for (int i = 0; i < 3; i++)
        CHECK(carrick_queue_put(small, item, 4, NOW));
    printf("without waiting: %s", carrick_queue_put(small, item, 4, NOW) == CARRICK_E_FULL ? "full" : "room");
    printf(", in 10 ms: %s", carrick_queue_put(small, item, 4, SHORT) == CARRICK_E_TIMEOUT ? "full" : "room");
    for (int i = 0; i < 3; i++)
        CHECK(carrick_queue_get_into(small, text, sizeof text, NOW, &len));
    printf("; without waiting: %s",
           carrick_queue_get_into(small, text, sizeof text, NOW, &len) == CARRICK_E_EMPTY ? "empty" : "an item");
    printf(", in 10 ms: %s\n",
           carrick_queue_get_into(small, text, sizeof text, SHORT, &len) == CARRICK_E_TIMEOUT ? "empty" : "an item");
    carrick_queue_free(small);
}

static int32_t produce(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    (void)argument, (void)len, (void)channel;
    for (int i = 0; i < 10; i++)
        put(items, "rope");
    return 0;
}

/* An item without a body says that there is no more; each consumer leaves it to the next one. */
static int32_t consume(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    char text[16];
    int taken = 0;
    (void)argument, (void)len, (void)channel;
    while (get(items, text, sizeof text) > 0)
        taken++;
    put(items, "");
    return taken;
}

static void producers_and_consumers(void)
{
    carrick_process *processes[6];
    char text[16];
    int taken = 0;
    items = new_queue(10);
    for (int i = 0; i < 6; i++)
        processes[i] = started(i < 2 ? produce : consume, NULL, 0);
    for (int i = 0; i < 2; i++)
        ended(processes[i]);
    put(items, "");
    for (int i = 2; i < 6; i++)
        taken += ended(processes[i]);
    printf("consumed: %d, then %s\n", taken, get(items, text, sizeof text) == 0 ? "the end" : "one more");
    carrick_queue_free(items);
}

static int32_t use(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    char text[16];
    (void)argument, (void)len, (void)channel;
    while (get(items, text, sizeof text) > 0)
        CHECK(carrick_queue_task_done(items));
    return 0;
}

static int32_t produce_and_join(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    produce(argument, len, channel);
    CHECK(carrick_queue_join(items, FOREVER)); /* all that was put is used */
    return 0;
}

static void joined(void)
{
    carrick_process *consumers[2];
    int code;
    items = new_queue(0);
    for (int i = 0; i < 2; i++)
        consumers[i] = started_daemon(use);
    code = ended(started(produce_and_join, NULL, 0));
    printf("joined: %s, once more: %s\n", code == 0 ? "all is used" : "an error",
           carrick_queue_task_done(items) == CARRICK_E_INVALID ? "refused" : "accepted");
    for (int i = 0; i < 2; i++)
        carrick_process_free(consumers[i]); /* they end with this process */
    carrick_queue_free(items);
}

int main(void)
{
    a_result();
    a_pipe();
    full_and_empty();
    producers_and_consumers();
    joined();
    return 0;
}
