/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Forks beside every kind of activity in other threads: nothing hangs in the children. CARRICK_FORKS is how many (100). */
#define _XOPEN_SOURCE 700
#include "harness.h"

#include <pthread.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static carrick_queue *queue;
static carrick_lock *lock;
static pthread_mutex_t stopping = PTHREAD_MUTEX_INITIALIZER;
static int stop;

static int is_stopped(void)
{
    int now;
    pthread_mutex_lock(&stopping);
    now = stop;
    pthread_mutex_unlock(&stopping);
    return now;
}

static void authenticate(const carrick_connection *connection, int32_t role)
{
    carrick_auth_options auth;
    OK(carrick_auth_options_init(&auth));
    auth.key = (const uint8_t *)"key";
    auth.key_len = 3;
    OK(carrick_connection_authenticate(connection, role, &auth));
}

static void *client(void *connection)
{
    authenticate(connection, CARRICK_ROLE_CLIENT);
    return NULL;
}

static void shake_hands(void)
{
    carrick_stream *streams[2] = {NULL, NULL};
    carrick_connection *ends[2] = {NULL, NULL};
    pthread_t thread;
    int i;
    OK(carrick_stream_pair(&streams[0], &streams[1]));
    for (i = 0; i < 2; i++) {
        OK(carrick_connection_new(streams[i], NULL, &ends[i]));
        carrick_stream_free(streams[i]);
    }
    CHECK(pthread_create(&thread, NULL, client, ends[1]) == 0);
    authenticate(ends[0], CARRICK_ROLE_SERVER);
    CHECK(pthread_join(thread, NULL) == 0);
    carrick_connection_free(ends[0]);
    carrick_connection_free(ends[1]);
}

static void pass_items(void)
{
    carrick_queue *own = NULL;
    uint8_t item[5000] = {7};
    size_t n = 0;
    OK(carrick_queue_new(NULL, &own));
    OK(carrick_queue_put(own, item, sizeof item, FOREVER));
    OK(carrick_queue_get_into(own, item, sizeof item, FOREVER, &n));
    CHECK(n == sizeof item && item[0] == 7);
    carrick_queue_free(own);
    OK(carrick_queue_put(queue, item, 1, FOREVER));
    OK(carrick_queue_get_into(queue, item, sizeof item, FOREVER, &n));
}

static void take_locks(void)
{
    carrick_lock *own = NULL;
    carrick_event *event = NULL;
    OK(carrick_lock_new(NULL, &own));
    OK(carrick_event_new(&event));
    OK(carrick_lock_acquire(own, FOREVER));
    OK(carrick_lock_release(own));
    carrick_event_free(event);
    carrick_lock_free(own);
    OK(carrick_lock_acquire(lock, FOREVER));
    OK(carrick_lock_release(lock));
}

static void (*const steps[])(void) = {shake_hands, pass_items, take_locks};
static const char *const names[] = {"a handshake", "queues", "locks"};
enum { STEPS = sizeof steps / sizeof *steps };

static void *again_and_again(void *step)
{
    while (!is_stopped())
        steps[*(int *)step]();
    return NULL;
}

static void children_of_a_busy_process_can_use_everything(void)
{
    const char *text = getenv("CARRICK_FORKS");
    int forks = text == NULL ? 100 : atoi(text), numbers[STEPS], i;
    pthread_t threads[STEPS];
    OK(carrick_queue_new(NULL, &queue));
    OK(carrick_lock_new(NULL, &lock));
    for (i = 0; i < STEPS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, again_and_again, &numbers[i]) == 0);
    }
    while (forks-- > 0) {
        int status = 0;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            for (i = 0; i < STEPS; i++) {
                alarm(30);
                steps[i]();
            }
            end_child(0);
        }
        CHECK(waitpid(child, &status, 0) == child);
        if (status != 0)
            fprintf(stderr, "a child ended with %#x; it does: %s, %s, %s\n", (unsigned)status, names[0], names[1], names[2]);
        CHECK(status == 0);
    }
    pthread_mutex_lock(&stopping);
    stop = 1;
    pthread_mutex_unlock(&stopping);
    for (i = 0; i < STEPS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    carrick_queue_free(queue);
    carrick_lock_free(lock);
}

static const struct test TESTS[] = {
    {"children_of_a_busy_process_can_use_everything", children_of_a_busy_process_can_use_everything},
};

int main(int argc, char **argv)
{
    return run_tests(TESTS, sizeof TESTS / sizeof *TESTS, argc, argv);
}
