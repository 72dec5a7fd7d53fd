/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Daemons, and who ends with whom. A parent has a daemon, the daemon has a daemon and another child. When the parent
 * ends, by itself or by kill -9, the kernel kills its daemon, and therefore the daemon's daemon; the other child lives
 * on. Python refuses to start a child in a daemon, for that one's sake; here it is up to you. Nobody is waited for who
 * is not joined. */
#include "process.h"

static carrick_queue *words;
static carrick_lock *daemon_lives, *daemons_daemon_lives;
static carrick_event *home, *go, *never;

static int32_t daemons_daemon(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    (void)argument, (void)len, (void)channel;
    take(daemons_daemon_lives);
    put(words, "started");
    CHECK(carrick_event_wait(never, FOREVER));
    return 0;
}

static int32_t daemons_child(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    (void)argument, (void)len, (void)channel;
    put(words, "started");
    CHECK(carrick_event_wait(go, FOREVER));
    put(words, "still here");
    return 0;
}

static int32_t daemon_with_children(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    (void)argument, (void)len, (void)channel;
    take(daemon_lives);
    started_daemon(daemons_daemon);
    started(daemons_child, NULL, 0);
    CHECK(carrick_event_wait(never, FOREVER));
    return 0;
}

static int32_t parent(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    (void)argument, (void)len, (void)channel;
    started_daemon(daemon_with_children);
    CHECK(carrick_event_wait(home, FOREVER));
    return 0;
}

/* Waits for the end of a process that holds a lock: it leaves the lock to the next one, who is told. */
static const char *fate(carrick_lock *lives)
{
    carrick_status status = carrick_lock_acquire(lives, FOREVER);
    if (status != CARRICK_E_OWNER_DIED)
        check(status, "carrick_lock_acquire");
    CHECK(carrick_lock_release(lives));
    return status == CARRICK_OK ? "ended by itself" : "killed";
}

static void family(int by_force)
{
    carrick_process *process = started(parent, NULL, 0);
    char text[16];
    for (int i = 0; i < 2; i++)
        get(words, text, sizeof text); /* the daemon's children have started */
    if (by_force)
        CHECK(carrick_process_kill(process));
    else
        CHECK(carrick_event_set(home));
    printf("parent ended with %d\n", ended(process));
    printf("  daemon: %s\n", fate(daemon_lives));
    printf("  daemon's daemon: %s\n", fate(daemons_daemon_lives));
    CHECK(carrick_event_set(go));
    get(words, text, sizeof text);
    printf("  daemon's other child: %s\n", text);
    CHECK(carrick_event_clear(home));
    CHECK(carrick_event_clear(go));
}

int main(void)
{
    words = new_queue(0);
    CHECK(carrick_lock_new(NULL, &daemon_lives));
    CHECK(carrick_lock_new(NULL, &daemons_daemon_lives));
    CHECK(carrick_event_new(&home));
    CHECK(carrick_event_new(&go));
    CHECK(carrick_event_new(&never));
    family(0);
    family(1);
    carrick_event_free(never);
    carrick_event_free(go);
    carrick_event_free(home);
    carrick_lock_free(daemons_daemon_lives);
    carrick_lock_free(daemon_lives);
    carrick_queue_free(words);
    return 0;
}
