/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Queues and primitives with names. */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The test's own names, each with what it is for at its end. */
static char name[64];

static size_t named(const char *what)
{
    return (size_t)snprintf(name, sizeof name, "c-test-%ld-%s", (long)getpid(), what);
}

static const char *path(void)
{
    static char text[128];
    snprintf(text, sizeof text, "/dev/shm/carrick.%ld.%s", (long)geteuid(), name);
    return text;
}

static int32_t opened(void)
{
    int32_t fd = -1;
    OK(carrick_name_open(name, strlen(name), &fd));
    CHECK(fd >= 0);
    return fd;
}

static void removed(void)
{
    OK(carrick_name_remove(name, strlen(name)));
    CHECK(access(path(), F_OK) != 0);
}

/* The call failed with this errno, and said what words. */
static void because(int code, const char *words)
{
    char text[600];
    size_t len = 0;
    CHECK(carrick_last_os_error() == code);
    OK(carrick_last_error(text, sizeof text, &len));
    CHECK(memmem(text, len, words, strlen(words)) != NULL);
}

static void a_queue_is_found_by_its_name(void)
{
    carrick_queue_options options;
    carrick_queue *queue = NULL, *again = NULL;
    struct stat file;
    uint8_t item[16];
    size_t len = named("queue");
    int32_t fd = -1;
    umask(0);
    OK(carrick_queue_options_init(&options));
    options.max_items = 1;
    OK(carrick_queue_create(name, len, &options, &queue));
    CHECK(stat(path(), &file) == 0 && file.st_mode == (S_IFREG | 0600) && file.st_uid == geteuid());
    OK(carrick_queue_attach(opened(), -1, &again));
    OK(carrick_queue_put(again, (const uint8_t *)"there", 5, FOREVER));
    STATUS(CARRICK_E_FULL, carrick_queue_put(again, (const uint8_t *)"more", 4, 0));
    OK(carrick_queue_get_into(queue, item, sizeof item, FOREVER, &len));
    CHECK(len == 5 && memcmp(item, "there", 5) == 0);
    STATUS(CARRICK_E_STATE, carrick_queue_event_fd(again, &fd));
    because(0, "a queue with a name has no descriptor to wait for");
    carrick_queue_free(again);
    STATUS(CARRICK_E_OS, carrick_queue_create(name, strlen(name), NULL, &again));
    because(EEXIST, "open it, or remove it first");
    removed();
    options.selectable = 1;
    STATUS(CARRICK_E_STATE, carrick_queue_create(name, strlen(name), &options, &again));
    STATUS(CARRICK_E_OS, carrick_name_open(name, strlen(name), &fd));
    because(ENOENT, "create it first");
    STATUS(CARRICK_E_OS, carrick_name_remove(name, strlen(name)));
    carrick_queue_free(queue);
}

static void primitives_are_found_by_their_names(void)
{
    carrick_lock_options options;
    carrick_lock *lock = NULL, *rlock = NULL, *other = NULL;
    carrick_semaphore *semaphore = NULL, *same_semaphore = NULL;
    carrick_condition *condition = NULL, *same_condition = NULL;
    carrick_event *event = NULL, *same_event = NULL;
    carrick_barrier *barrier = NULL, *same_barrier = NULL;
    uint32_t number = 0;
    int32_t fd, yes = 0;

    OK(carrick_lock_create(name, named("lock"), NULL, &lock));
    fd = opened();
    OK(carrick_lock_attach(fd, 0, NULL, &other));
    CHECK(close(fd) == 0);
    OK(carrick_lock_acquire(lock, FOREVER));
    STATUS(CARRICK_E_WOULD_BLOCK, carrick_lock_acquire(other, 0));
    removed();
    OK(carrick_lock_release(other));

    OK(carrick_lock_options_init(&options));
    options.recursive = 1;
    OK(carrick_lock_create(name, named("rlock"), &options, &rlock));
    fd = opened();
    STATUS(CARRICK_E_INVALID, carrick_lock_attach(fd, 0, NULL, &other));
    because(EINVAL, "slot 0 holds no plain lock");
    STATUS(CARRICK_E_INVALID, carrick_event_attach(fd, 0, &same_event));
    because(EINVAL, "the name 'c-test-");
    CHECK(close(fd) == 0);
    OK(carrick_lock_acquire(rlock, FOREVER));
    OK(carrick_lock_acquire(rlock, FOREVER));
    removed();

    STATUS(CARRICK_E_INVALID, carrick_semaphore_create(name, named("semaphore"), 6, 5, &semaphore));
    OK(carrick_semaphore_create(name, strlen(name), 2, 5, &semaphore));
    fd = opened();
    OK(carrick_semaphore_attach(fd, 0, &same_semaphore));
    CHECK(close(fd) == 0);
    OK(carrick_semaphore_acquire(same_semaphore, FOREVER));
    OK(carrick_semaphore_value(semaphore, &number));
    CHECK(number == 1);
    removed();

    OK(carrick_condition_create(name, named("condition"), &condition));
    fd = opened();
    OK(carrick_condition_attach(fd, 0, &same_condition));
    CHECK(close(fd) == 0);
    OK(carrick_condition_notify_all(same_condition));
    removed();

    OK(carrick_event_create(name, named("event"), &event));
    fd = opened();
    OK(carrick_event_attach(fd, 0, &same_event));
    CHECK(close(fd) == 0);
    OK(carrick_event_set(same_event));
    OK(carrick_event_is_set(event, &yes));
    CHECK(yes == 1);
    removed();

    STATUS(CARRICK_E_INVALID, carrick_barrier_create(name, named("barrier"), 0, &barrier));
    OK(carrick_barrier_create(name, strlen(name), 7, &barrier));
    fd = opened();
    OK(carrick_barrier_attach(fd, 0, &same_barrier));
    CHECK(close(fd) == 0);
    OK(carrick_barrier_parties(same_barrier, &number));
    CHECK(number == 7);
    removed();

    carrick_lock_free(lock);
    carrick_lock_free(rlock);
    carrick_lock_free(other);
    carrick_semaphore_free(semaphore);
    carrick_semaphore_free(same_semaphore);
    carrick_condition_free(condition);
    carrick_condition_free(same_condition);
    carrick_event_free(event);
    carrick_event_free(same_event);
    carrick_barrier_free(barrier);
    carrick_barrier_free(same_barrier);
}

static void the_creator_may_die_and_a_killed_holder_is_known(void)
{
    carrick_lock *lock = NULL;
    size_t len = named("orphan");
    int status = 0;
    int32_t fd;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        OK(carrick_lock_create(name, len, NULL, &lock));
        OK(carrick_lock_acquire(lock, FOREVER));
        raise(SIGKILL);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    fd = opened();
    OK(carrick_lock_attach(fd, 0, NULL, &lock));
    CHECK(close(fd) == 0);
    removed();
    STATUS(CARRICK_E_OWNER_DIED, carrick_lock_acquire(lock, FOREVER));
    carrick_lock_free(lock);
}

static void what_is_no_name_is_refused(void)
{
    static const char *const bad[] = {"", ".", ".hidden", "a/b", "../etc", "a b"};
    carrick_event *event = NULL;
    int32_t fd = -1;
    size_t i;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        STATUS(CARRICK_E_INVALID, carrick_event_create(bad[i], strlen(bad[i]), &event));
        STATUS(CARRICK_E_INVALID, carrick_name_open(bad[i], strlen(bad[i]), &fd));
        STATUS(CARRICK_E_INVALID, carrick_name_remove(bad[i], strlen(bad[i])));
    }
    because(EINVAL, "the name \"a b\"; give 1 to 200 letters");
    STATUS(CARRICK_E_INVALID, carrick_event_create("a\0b", 3, &event));
    STATUS(CARRICK_E_INVALID, carrick_event_create("\xff", 1, &event));
    CHECK(event == NULL && fd == -1);
}

static void what_others_may_open_is_refused(void)
{
    carrick_event *event = NULL;
    size_t len = named("open");
    int32_t fd = -1;
    OK(carrick_event_create(name, len, &event));
    CHECK(chmod(path(), 0644) == 0);
    STATUS(CARRICK_E_OS, carrick_name_open(name, len, &fd));
    because(EACCES, "nobody else may open");
    removed();
    CHECK(symlink("/dev/null", path()) == 0);
    STATUS(CARRICK_E_OS, carrick_name_open(name, len, &fd));
    because(ELOOP, name);
    removed();
    carrick_event_free(event);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
#define TEST(name) {#name, name}
        TEST(a_queue_is_found_by_its_name),
        TEST(primitives_are_found_by_their_names),
        TEST(the_creator_may_die_and_a_killed_holder_is_known),
        TEST(what_is_no_name_is_refused),
        TEST(what_others_may_open_is_refused),
    };
    return run_tests(tests, sizeof tests / sizeof *tests, argc, argv);
}
