/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Locks, semaphores, conditions, events and barriers: within a process, with children, some of them killed. */
#define _POSIX_C_SOURCE 200809L
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static int await(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        CHECK(errno == EINTR);
    return status;
}

static carrick_lock *make_lock(int recursive, int on_owner_death)
{
    carrick_lock_options options;
    carrick_lock *lock = NULL;
    OK(carrick_lock_options_init(&options));
    options.recursive = recursive;
    options.on_owner_death = on_owner_death;
    OK(carrick_lock_new(&options, &lock));
    return lock;
}

static int locked(const carrick_lock *lock)
{
    int32_t is = -1;
    OK(carrick_lock_is_locked(lock, &is));
    return is;
}

static pid_t holder(const carrick_lock *lock)
{
    int32_t pid = -1;
    OK(carrick_lock_holder(lock, &pid));
    return (pid_t)pid;
}

static void a_lock_has_one_holder(void)
{
    carrick_lock *lock = NULL;
    OK(carrick_lock_new(NULL, &lock));
    CHECK(!locked(lock) && holder(lock) == 0);
    OK(carrick_lock_acquire(lock, FOREVER));
    CHECK(locked(lock) && holder(lock) == getpid());
    STATUS(CARRICK_E_WOULD_BLOCK, carrick_lock_acquire(lock, 0));
    STATUS(CARRICK_E_TIMEOUT, carrick_lock_acquire(lock, 1000000));
    OK(carrick_lock_release(lock));
    CHECK(holder(lock) == 0);
    STATUS(CARRICK_E_INVALID, carrick_lock_release(lock));
    carrick_lock_free(lock);
}

static void a_recursive_lock_is_taken_again_by_its_holder(void)
{
    carrick_lock *lock = make_lock(1, CARRICK_ON_OWNER_DEATH_TAKE_OVER);
    OK(carrick_lock_acquire(lock, FOREVER));
    OK(carrick_lock_acquire(lock, 0));
    OK(carrick_lock_release(lock));
    CHECK(locked(lock) && holder(lock) == getpid());
    OK(carrick_lock_release(lock));
    CHECK(holder(lock) == 0);
    STATUS(CARRICK_E_STATE, carrick_lock_release(lock));
    carrick_lock_free(lock);
}

static void bad_options_are_refused(void)
{
    carrick_lock_options options;
    carrick_lock *lock = NULL;
    carrick_semaphore *semaphore = NULL;
    carrick_barrier *barrier = NULL;
    OK(carrick_lock_options_init(&options));
    options.on_owner_death = 7;
    STATUS(CARRICK_E_INVALID, carrick_lock_new(&options, &lock));
    options.on_owner_death = CARRICK_ON_OWNER_DEATH_WAIT;
    options.recursive = 2;
    STATUS(CARRICK_E_INVALID, carrick_lock_new(&options, &lock));
    STATUS(CARRICK_E_INVALID, carrick_semaphore_new(2, 1, &semaphore));
    STATUS(CARRICK_E_INVALID, carrick_semaphore_new(0, CARRICK_SEMAPHORE_MAX + 1u, &semaphore));
    STATUS(CARRICK_E_INVALID, carrick_barrier_new(0, &barrier));
    CHECK(lock == NULL && semaphore == NULL && barrier == NULL);
}

static pid_t killed_holding(const carrick_lock *lock)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        OK(carrick_lock_acquire(lock, FOREVER));
        raise(SIGKILL);
    }
    CHECK(WIFSIGNALED(await(child)));
    return child;
}

static void the_lock_of_a_killed_holder_is_taken_over(void)
{
    carrick_lock *lock = make_lock(0, CARRICK_ON_OWNER_DEATH_TAKE_OVER);
    pid_t dead = killed_holding(lock);
    CHECK(locked(lock) && holder(lock) == dead);
    STATUS(CARRICK_E_OWNER_DIED, carrick_lock_acquire(lock, FOREVER));
    CHECK(locked(lock) && holder(lock) == getpid());
    OK(carrick_lock_release(lock));
    OK(carrick_lock_acquire(lock, 0));
    OK(carrick_lock_release(lock));
    carrick_lock_free(lock);

    lock = make_lock(0, CARRICK_ON_OWNER_DEATH_WAIT);
    killed_holding(lock);
    STATUS(CARRICK_E_TIMEOUT, carrick_lock_acquire(lock, SECOND / 5));
    OK(carrick_lock_release(lock));
    OK(carrick_lock_acquire(lock, FOREVER));
    OK(carrick_lock_release(lock));
    carrick_lock_free(lock);
}

static void a_semaphore_counts_across_a_fork(void)
{
    carrick_semaphore *semaphore = NULL;
    uint32_t value = 0;
    pid_t child = -1;
    OK(carrick_semaphore_new(0, 3, &semaphore));
    STATUS(CARRICK_E_WOULD_BLOCK, carrick_semaphore_acquire(semaphore, 0));
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        OK(carrick_semaphore_release(semaphore, 2));
        carrick_semaphore_free(semaphore);
        end_child(0);
    }
    OK(carrick_semaphore_acquire(semaphore, FOREVER));
    OK(carrick_semaphore_acquire(semaphore, FOREVER));
    CHECK(await(child) == 0);
    OK(carrick_semaphore_release(semaphore, 3));
    STATUS(CARRICK_E_INVALID, carrick_semaphore_release(semaphore, 1));
    OK(carrick_semaphore_value(semaphore, &value));
    CHECK(value == 3);
    carrick_semaphore_free(semaphore);
}

static void a_child_notifies_its_parent(void)
{
    carrick_lock *lock = make_lock(1, CARRICK_ON_OWNER_DEATH_TAKE_OVER);
    carrick_condition *condition = NULL;
    pid_t child = -1;
    OK(carrick_condition_new(&condition));
    STATUS(CARRICK_E_STATE, carrick_condition_wait(condition, lock, FOREVER));
    OK(carrick_lock_acquire(lock, FOREVER));
    STATUS(CARRICK_E_TIMEOUT, carrick_condition_wait(condition, lock, 1000000));
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        /* It has the lock only while the parent waits. */
        OK(carrick_lock_acquire(lock, FOREVER));
        OK(carrick_condition_notify(condition, 1));
        OK(carrick_lock_release(lock));
        carrick_condition_free(condition);
        carrick_lock_free(lock);
        end_child(0);
    }
    OK(carrick_condition_wait(condition, lock, FOREVER));
    OK(carrick_condition_notify_all(condition));
    OK(carrick_lock_release(lock));
    CHECK(await(child) == 0);
    carrick_condition_free(condition);
    carrick_lock_free(lock);
}

static void an_event_reaches_a_child(void)
{
    carrick_event *ready = NULL, *go = NULL;
    int32_t is = -1;
    pid_t child = -1;
    OK(carrick_event_new(&ready));
    OK(carrick_event_new(&go));
    STATUS(CARRICK_E_WOULD_BLOCK, carrick_event_wait(go, 0));
    STATUS(CARRICK_E_TIMEOUT, carrick_event_wait(go, 1000000));
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        OK(carrick_event_set(ready));
        OK(carrick_event_wait(go, FOREVER));
        carrick_event_free(ready);
        carrick_event_free(go);
        end_child(0);
    }
    OK(carrick_event_wait(ready, FOREVER));
    OK(carrick_event_set(go));
    CHECK(await(child) == 0);
    OK(carrick_event_is_set(go, &is));
    CHECK(is == 1);
    OK(carrick_event_clear(go));
    OK(carrick_event_is_set(go, &is));
    CHECK(is == 0);
    carrick_event_free(ready);
    carrick_event_free(go);
}

static void processes_meet_at_a_barrier(void)
{
    carrick_barrier *barrier = NULL;
    uint32_t turn = 9, number = 9;
    int32_t broken = -1;
    int round = 0;
    pid_t child = -1;
    OK(carrick_barrier_new(2, &barrier));
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        for (round = 0; round < 100; round++)
            OK(carrick_barrier_wait(barrier, FOREVER, &turn));
        carrick_barrier_free(barrier);
        end_child(0);
    }
    for (round = 0; round < 100; round++)
        OK(carrick_barrier_wait(barrier, FOREVER, &turn));
    CHECK(turn < 2);
    CHECK(await(child) == 0);
    OK(carrick_barrier_parties(barrier, &number));
    CHECK(number == 2);
    OK(carrick_barrier_waiting(barrier, &number));
    CHECK(number == 0);
    STATUS(CARRICK_E_TIMEOUT, carrick_barrier_wait(barrier, 1000000, &turn));
    STATUS(CARRICK_E_BROKEN, carrick_barrier_wait(barrier, FOREVER, &turn));
    OK(carrick_barrier_reset(barrier));
    OK(carrick_barrier_is_broken(barrier, &broken));
    CHECK(broken == 0);
    OK(carrick_barrier_abort(barrier));
    OK(carrick_barrier_is_broken(barrier, &broken));
    CHECK(broken == 1);
    carrick_barrier_free(barrier);
}

static void another_handle_is_the_same_primitive(void)
{
    carrick_lock_options options;
    carrick_lock *lock = make_lock(0, CARRICK_ON_OWNER_DEATH_TAKE_OVER), *again = NULL;
    carrick_semaphore *semaphore = NULL;
    carrick_condition *condition = NULL, *same = NULL;
    carrick_event *event = NULL;
    int32_t fd = -1;
    uint32_t slot = 0;
    OK(carrick_lock_place(lock, &fd, &slot));
    OK(carrick_lock_attach(fd, slot, NULL, &again));
    OK(carrick_lock_acquire(lock, FOREVER));
    STATUS(CARRICK_E_WOULD_BLOCK, carrick_lock_acquire(again, 0));
    OK(carrick_lock_release(again));
    CHECK(!locked(lock));
    OK(carrick_lock_options_init(&options));
    options.recursive = 1;
    STATUS(CARRICK_E_INVALID, carrick_lock_attach(fd, slot, &options, &again));
    STATUS(CARRICK_E_INVALID, carrick_semaphore_attach(fd, slot, &semaphore));
    STATUS(CARRICK_E_INVALID, carrick_event_attach(fd, slot, &event));
    STATUS(CARRICK_E_INVALID, carrick_event_attach(-1, slot, &event));
    OK(carrick_condition_new(&condition));
    OK(carrick_condition_place(condition, &fd, &slot));
    OK(carrick_condition_attach(fd, slot, &same));
    OK(carrick_condition_notify_all(same));
    carrick_condition_free(same);
    carrick_condition_free(condition);
    carrick_lock_free(again);
    carrick_lock_free(lock);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"a_lock_has_one_holder", a_lock_has_one_holder},
        {"a_recursive_lock_is_taken_again_by_its_holder", a_recursive_lock_is_taken_again_by_its_holder},
        {"bad_options_are_refused", bad_options_are_refused},
        {"the_lock_of_a_killed_holder_is_taken_over", the_lock_of_a_killed_holder_is_taken_over},
        {"a_semaphore_counts_across_a_fork", a_semaphore_counts_across_a_fork},
        {"a_child_notifies_its_parent", a_child_notifies_its_parent},
        {"an_event_reaches_a_child", an_event_reaches_a_child},
        {"processes_meet_at_a_barrier", processes_meet_at_a_barrier},
        {"another_handle_is_the_same_primitive", another_handle_is_the_same_primitive},
    };
    return run_tests(tests, sizeof tests / sizeof *tests, argc, argv);
}
