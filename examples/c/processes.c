/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A chapter on processes: starting and joining, many, a process as an object, isolation, terminating, tickets under a
 * lock. Each function that a process runs is on its own. */
#define _POSIX_C_SOURCE 200809L
#include "process.h"

#include <unistd.h>

static int count = 100, tickets;
static carrick_lock *lock;
static carrick_event *never;

/* The argument is the number of the main process, whose child this is to be. */
static int32_t look(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    pid_t parent;
    (void)len, (void)channel;
    memcpy(&parent, argument, sizeof parent);
    return getppid() == parent ? 0 : 1;
}

static void start_and_join(void)
{
    pid_t here = getpid();
    carrick_process *process = started(look, &here, sizeof here);
    int32_t there = 0;
    CHECK(carrick_process_pid(process, &there));
    printf("start: a process with %s number, ", there != here ? "its own" : "the same");
    printf("exit code %d\n", ended(process)); /* it is over now */
}

static int32_t square(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    (void)len, (void)channel;
    return argument[0] * argument[0];
}

static void many(void)
{
    carrick_process *processes[10];
    for (uint8_t i = 0; i < 10; i++)
        processes[i] = started(square, &i, 1);
    printf("many:");
    for (int i = 0; i < 10; i++)
        printf(" %d", ended(processes[i]));
    printf("\n");
}

/* A process as an object: a struct has what it needs, and sum_run is what it does. */
struct sum {
    int x, y;
    carrick_process *process;
};

static int32_t sum_run(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    struct sum self;
    (void)len, (void)channel;
    memcpy(&self, argument, sizeof self);
    return self.x + self.y;
}

static void as_an_object(void)
{
    struct sum sum = {1, 2, NULL};
    sum.process = started(sum_run, &sum, sizeof sum);
    printf("object: %d + %d = %d\n", sum.x, sum.y, ended(sum.process));
}

static int32_t forget(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    (void)argument, (void)len, (void)channel;
    count = 0;
    return count;
}

static void isolation(void)
{
    int there = ended(started(forget, NULL, 0));
    printf("isolation: %d there, %d here\n", there, count);
}

static int32_t wait_for_ever(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    (void)argument, (void)len, (void)channel;
    CHECK(carrick_event_wait(never, FOREVER));
    return 0;
}

static void terminate(void)
{
    carrick_process *process;
    int32_t before = 0, after = 0, code = 0;
    CHECK(carrick_event_new(&never));
    process = started(wait_for_ever, NULL, 0);
    CHECK(carrick_process_is_alive(process, &before));
    CHECK(carrick_process_terminate(process)); /* asks for its end, and does not wait for it */
    CHECK(carrick_process_join(process, FOREVER, &code));
    CHECK(carrick_process_is_alive(process, &after));
    printf("terminate: %s, then %s with %d\n", before ? "alive" : "dead", after ? "alive" : "dead", (int)code);
    carrick_process_free(process);
    carrick_event_free(never);
}

/* A process that reads, counts and writes must hold the lock. */
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

static void tickets_with_a_lock(void)
{
    FILE *file = tmpfile();
    carrick_process *buyers[10];
    int sold = 0;
    if (file == NULL || pwrite(tickets = fileno(file), "3", 1, 0) != 1)
        exit(1);
    CHECK(carrick_lock_new(NULL, &lock));
    for (int i = 0; i < 10; i++)
        buyers[i] = started(buy, NULL, 0);
    for (int i = 0; i < 10; i++)
        sold += ended(buyers[i]) == 0;
    printf("tickets: %d sold, %d refused\n", sold, 10 - sold);
    carrick_lock_free(lock);
    fclose(file);
}

int main(void)
{
    start_and_join();
    many();
    as_an_object();
    isolation();
    terminate();
    tickets_with_a_lock();
    return 0;
}
