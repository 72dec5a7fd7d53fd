/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Queues in shared memory: within a process, with the child of a fork, and by descriptor. */
#define _POSIX_C_SOURCE 200809L
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static carrick_queue *make(uint64_t max_items, uint64_t max_bytes)
{
    carrick_queue_options options;
    carrick_queue *queue = NULL;
    OK(carrick_queue_options_init(&options));
    options.max_items = max_items;
    options.max_bytes = max_bytes;
    OK(carrick_queue_new(&options, &queue));
    return queue;
}

static void put(const carrick_queue *queue, const char *text)
{
    OK(carrick_queue_put(queue, (const uint8_t *)text, strlen(text), FOREVER));
}

static void take(const carrick_queue *queue, const char *text)
{
    uint8_t buffer[64];
    size_t len = 0;
    OK(carrick_queue_get_into(queue, buffer, sizeof buffer, FOREVER, &len));
    CHECK(len == strlen(text) && memcmp(buffer, text, len) == 0);
}

static void await_success(pid_t child)
{
    int status = 1;
    while (waitpid(child, &status, 0) < 0)
        CHECK(errno == EINTR);
    CHECK(status == 0);
}

static void items_come_out_in_order(void)
{
    carrick_queue *queue = make(0, 0);
    carrick_slice parts[2] = {{(const uint8_t *)"two ", 4}, {(const uint8_t *)"parts", 5}};
    uint64_t count = 0;
    uint8_t *data = NULL;
    size_t len = 0;
    put(queue, "one");
    put(queue, "");
    OK(carrick_queue_put_vectored(queue, parts, 2, FOREVER));
    OK(carrick_queue_len(queue, &count));
    CHECK(count == 3);
    OK(carrick_queue_bytes(queue, &count));
    CHECK(count == 12);
    take(queue, "one");
    take(queue, "");
    OK(carrick_queue_get(queue, 0, &data, &len));
    CHECK(len == 9 && memcmp(data, "two parts", 9) == 0);
    carrick_bytes_free(data, len);
    STATUS(CARRICK_E_EMPTY, carrick_queue_get(queue, 0, &data, &len));
    STATUS(CARRICK_E_TIMEOUT, carrick_queue_get(queue, 1000000, &data, &len));
    carrick_queue_free(queue);
}

/* A text that grows. */
static void append(void *user_data, const uint8_t *data, size_t data_len)
{
    char *text = user_data;
    size_t len = strlen(text);
    memcpy(text + len, data, data_len);
    strcpy(text + len + data_len, ";");
}

static void many_items_are_put_and_taken_at_a_time(void)
{
    static const carrick_slice items[4] = {
        {(const uint8_t *)"one", 3}, {NULL, 0}, {(const uint8_t *)"three", 5}, {(const uint8_t *)"four", 4}};
    static const carrick_slice bad[2] = {{(const uint8_t *)"good", 4}, {NULL, 1}};
    carrick_queue *queue = make(3, 100);
    char text[100] = "";
    size_t count = 77;
    STATUS(CARRICK_E_EMPTY, carrick_queue_get_many(queue, 9, 0, append, text, &count));
    STATUS(CARRICK_E_NULL, carrick_queue_put_many(queue, bad, 2, FOREVER, &count));
    CHECK(count == 77);
    STATUS(CARRICK_E_FULL, carrick_queue_put_many(queue, items, 4, 0, &count));
    CHECK(count == 3);
    STATUS(CARRICK_E_TIMEOUT, carrick_queue_put_many(queue, items + 3, 1, 1000000, &count));
    CHECK(count == 0);
    OK(carrick_queue_get_many(queue, 2, FOREVER, append, text, &count));
    CHECK(count == 2 && strcmp(text, "one;;") == 0);
    OK(carrick_queue_put_many(queue, items + 3, 1, FOREVER, &count));
    CHECK(count == 1);
    OK(carrick_queue_get_many(queue, 0, FOREVER, append, text, &count));
    CHECK(count == 0);
    OK(carrick_queue_get_many(queue, SIZE_MAX, FOREVER, append, text, &count));
    CHECK(count == 2 && strcmp(text, "one;;three;four;") == 0);
    OK(carrick_queue_put_many(queue, NULL, 0, FOREVER, &count));
    CHECK(count == 0);
    carrick_queue_free(queue);
}

static void an_item_that_does_not_fit_stays(void)
{
    carrick_queue *queue = make(0, 0);
    uint8_t small[3];
    size_t len = 0;
    put(queue, "four");
    STATUS(CARRICK_E_BUFFER, carrick_queue_get_into(queue, small, sizeof small, FOREVER, &len));
    CHECK(len == 4);
    take(queue, "four");
    carrick_queue_free(queue);
}

typedef struct {
    const carrick_queue *queue;
    const char *text;
    int calls;
} expected;

static void compare(void *user_data, const uint8_t *data, size_t data_len)
{
    expected *item = user_data;
    uint8_t *more = NULL;
    size_t len = 0;
    CHECK(data_len == strlen(item->text) && memcmp(data, item->text, data_len) == 0);
    STATUS(CARRICK_E_REENTRANT, carrick_queue_get(item->queue, FOREVER, &more, &len));
    STATUS(CARRICK_E_REENTRANT, carrick_queue_close(item->queue));
    put(item->queue, "put by the reader");
    item->calls++;
}

static void an_item_is_read_where_it_lies(void)
{
    carrick_queue *queue = make(0, 0);
    expected item = {NULL, "in place", 0};
    item.queue = queue;
    STATUS(CARRICK_E_EMPTY, carrick_queue_get_in_place(queue, compare, &item, 0));
    STATUS(CARRICK_E_TIMEOUT, carrick_queue_get_in_place(queue, compare, &item, 1000000));
    put(queue, "in place");
    OK(carrick_queue_get_in_place(queue, compare, &item, FOREVER));
    CHECK(item.calls == 1);
    take(queue, "put by the reader");
    carrick_queue_free(queue);
}

static void die(void *user_data, const uint8_t *data, size_t data_len)
{
    (void)user_data;
    CHECK(data_len == 4 && memcmp(data, "kept", 4) == 0);
    raise(SIGKILL);
}

static void an_item_whose_reader_is_killed_is_the_next_consumers(void)
{
    carrick_queue *queue = make(0, 0);
    int status = 0;
    pid_t child;
    put(queue, "kept");
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        OK(carrick_queue_get_in_place(queue, die, NULL, FOREVER));
        end_child(0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    take(queue, "kept");
    carrick_queue_free(queue);
}

static void limits_are_kept(void)
{
    carrick_queue *queue = make(1, 4);
    put(queue, "full");
    STATUS(CARRICK_E_FULL, carrick_queue_put(queue, (const uint8_t *)"x", 1, 0));
    STATUS(CARRICK_E_TIMEOUT, carrick_queue_put(queue, (const uint8_t *)"x", 1, 1000000));
    STATUS(CARRICK_E_FRAME_TOO_LARGE, carrick_queue_put(queue, (const uint8_t *)"12345", 5, FOREVER));
    take(queue, "full");
    put(queue, "room");
    carrick_queue_free(queue);
}

static void a_child_puts_and_its_parent_takes(void)
{
    enum { ITEMS = 1000 };
    carrick_queue *queue = make(4, 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        for (int i = 0; i < ITEMS; i++)
            OK(carrick_queue_put(queue, (const uint8_t *)&i, sizeof i, FOREVER));
        OK(carrick_queue_join(queue, FOREVER));
        carrick_queue_free(queue);
        end_child(0);
    }
    for (int i = 0; i < ITEMS; i++) {
        int got = -1;
        size_t len = 0;
        OK(carrick_queue_get_into(queue, (uint8_t *)&got, sizeof got, FOREVER, &len));
        CHECK(len == sizeof got && got == i);
        OK(carrick_queue_task_done(queue));
    }
    await_success(child);
    STATUS(CARRICK_E_INVALID, carrick_queue_task_done(queue));
    carrick_queue_free(queue);
}

static void a_killed_child_leaves_the_queue_usable(void)
{
    carrick_queue *queue = make(4, 0);
    for (int round = 0; round < 50; round++) {
        uint8_t item[8];
        size_t len = 0;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            for (;;)
                OK(carrick_queue_put(queue, (const uint8_t *)"12345678", 8, FOREVER));
        }
        for (int i = 0; i < round; i++) {
            OK(carrick_queue_get_into(queue, item, sizeof item, FOREVER, &len));
            CHECK(len == 8 && memcmp(item, "12345678", 8) == 0);
        }
        CHECK(kill(child, SIGKILL) == 0);
        CHECK(waitpid(child, NULL, 0) == child);
        while (carrick_queue_get_into(queue, item, sizeof item, 0, &len) == CARRICK_OK)
            CHECK(len == 8 && memcmp(item, "12345678", 8) == 0);
        put(queue, "usable");
        take(queue, "usable");
    }
    carrick_queue_free(queue);
}

static void a_descriptor_is_enough_to_attach(void)
{
    carrick_queue *queue = make(7, 0), *again = NULL;
    int fd = -1, copy;
    OK(carrick_queue_fd(queue, &fd));
    copy = dup(fd);
    OK(carrick_queue_attach(copy, -1, &again));
    put(queue, "there");
    take(again, "there");
    carrick_queue_free(queue);
    put(again, "lives on");
    take(again, "lives on");
    carrick_queue_free(again);
    STATUS(CARRICK_E_INVALID, carrick_queue_attach(0, -1, &again));
    STATUS(CARRICK_E_INVALID, carrick_queue_attach(-1, -1, &again));
}

static void a_bell_that_is_none_is_refused_and_stays_open(void)
{
    carrick_queue_options options;
    carrick_queue *queue = make(7, 0), *again = NULL;
    int fd = -1, bell = dup(0);
    OK(carrick_queue_fd(queue, &fd));
    STATUS(CARRICK_E_INVALID, carrick_queue_attach(fd, bell, &again));
    CHECK(fcntl(bell, F_GETFD) >= 0 && fcntl(fd, F_GETFD) >= 0);
    carrick_queue_free(queue);

    OK(carrick_queue_options_init(&options));
    options.selectable = 1;
    OK(carrick_queue_new(&options, &queue));
    OK(carrick_queue_fd(queue, &fd));
    STATUS(CARRICK_E_INVALID, carrick_queue_attach(fd, bell, &again));
    STATUS(CARRICK_E_INVALID, carrick_queue_attach(fd, fd, &again));
    CHECK(fcntl(bell, F_GETFD) >= 0 && fcntl(fd, F_GETFD) >= 0);
    carrick_queue_free(queue);
    close(bell);
}

static void a_selectable_queue_can_be_polled(void)
{
    carrick_queue_options options;
    carrick_queue *queue = NULL, *again = NULL;
    struct pollfd slot = {.events = POLLIN};
    int fd = -1, bell = -1;
    OK(carrick_queue_options_init(&options));
    OK(carrick_queue_new(&options, &queue));
    STATUS(CARRICK_E_STATE, carrick_queue_event_fd(queue, &fd));
    carrick_queue_free(queue);
    options.selectable = 2;
    STATUS(CARRICK_E_INVALID, carrick_queue_new(&options, &queue));
    options.selectable = 1;
    OK(carrick_queue_new(&options, &queue));
    OK(carrick_queue_event_fd(queue, &slot.fd));
    CHECK(poll(&slot, 1, 0) == 0);
    OK(carrick_queue_fd(queue, &fd));
    OK(carrick_queue_bell_fd(queue, &bell));
    STATUS(CARRICK_E_INVALID, carrick_queue_attach(fd, -1, &again));
    OK(carrick_queue_attach(dup(fd), dup(bell), &again));
    put(again, "one");
    put(again, "two");
    CHECK(poll(&slot, 1, -1) == 1);
    take(queue, "one");
    CHECK(poll(&slot, 1, 0) == 1);
    take(queue, "two");
    CHECK(poll(&slot, 1, 0) == 0);
    carrick_queue_free(again);
    carrick_queue_free(queue);
}

static void closing_ends_it_for_all(void)
{
    carrick_queue *queue = make(0, 0);
    uint8_t item[8];
    size_t len = 0;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        take(queue, "last");
        STATUS(CARRICK_E_CLOSED, carrick_queue_get_into(queue, item, sizeof item, FOREVER, &len));
        carrick_queue_free(queue);
        end_child(0);
    }
    put(queue, "last");
    OK(carrick_queue_close(queue));
    OK(carrick_queue_close(queue));
    STATUS(CARRICK_E_CLOSED, carrick_queue_put(queue, item, 0, FOREVER));
    await_success(child);
    carrick_queue_free(queue);
}

static void corrupted_memory_gives_an_error(void)
{
    carrick_queue *queue = make(0, 0);
    uint8_t item[8];
    uint64_t nonsense = UINT64_MAX;
    size_t len = 0;
    int fd = -1;
    put(queue, "item");
    OK(carrick_queue_fd(queue, &fd));
    /* The length of the first item, right after the head. */
    CHECK(pwrite(fd, &nonsense, sizeof nonsense, 4096) == sizeof nonsense);
    STATUS(CARRICK_E_CORRUPT, carrick_queue_get_into(queue, item, sizeof item, 0, &len));
    carrick_queue_free(queue);
}

/* Lets this process have so many bytes of address space more than it has; a negative number lifts the limit. */
static void limit(long more)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    FILE *statm = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    CHECK(statm != NULL && fscanf(statm, "%lu", &pages) == 1);
    fclose(statm);
    if (more >= 0)
        limit.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (rlim_t)more;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

static void an_item_without_memory_is_not_lost(void)
{
    enum { LARGE = 100 << 20, MORE = 32 << 20 };
    carrick_queue *queue = make(0, 0), *again = NULL;
    uint8_t *large = calloc(1, LARGE), *data = NULL;
    uint64_t count = 0;
    size_t len = 0;
    int fd = -1;
    CHECK(large != NULL);
    OK(carrick_queue_fd(queue, &fd));
    OK(carrick_queue_attach(dup(fd), -1, &again));
    put(queue, "before");
    limit(MORE);
    /* For the queue's memory no address space is needed: it is not this process's alone. */
    OK(carrick_queue_put(queue, large, LARGE, FOREVER));
    put(queue, "after");
    take(queue, "before");
    STATUS(CARRICK_E_NOMEMORY, carrick_queue_get(queue, 0, &data, &len));
    STATUS(CARRICK_E_NOMEMORY, carrick_queue_get(again, FOREVER, &data, &len));
    OK(carrick_queue_len(queue, &count));
    CHECK(count == 2);
    limit(-1);
    OK(carrick_queue_get(again, FOREVER, &data, &len));
    CHECK(len == LARGE && memcmp(data, large, LARGE) == 0);
    carrick_bytes_free(data, len);
    take(queue, "after");
    put(again, "usable");
    take(queue, "usable");
    free(large);
    carrick_queue_free(again);
    carrick_queue_free(queue);
}

static void without_descriptors_a_queue_cannot_be_made(void)
{
    carrick_queue_options options;
    carrick_queue *first = make(0, 0), *queue = NULL;
    struct rlimit whole, few;
    int before = open_descriptors(), lowest = dup(0), more, failures = 0;
    close(lowest);
    OK(carrick_queue_options_init(&options));
    options.selectable = 1;
    CHECK(getrlimit(RLIMIT_NOFILE, &whole) == 0);
    few = whole;
    for (more = 0; more < 3; more++) {
        carrick_status status;
        int32_t os_error;
        few.rlim_cur = (rlim_t)(lowest + more);
        CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
        status = carrick_queue_new(&options, &queue);
        os_error = carrick_last_os_error();
        put(first, "those there are go on");
        take(first, "those there are go on");
        CHECK(setrlimit(RLIMIT_NOFILE, &whole) == 0);
        if (status == CARRICK_OK) {
            carrick_queue_free(queue);
        } else {
            CHECK(status == CARRICK_E_OS && os_error == EMFILE);
            failures++;
        }
        CHECK(open_descriptors() == before);
    }
    CHECK(failures == 2);
    carrick_queue_free(first);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
#define TEST(name) {#name, name}
        TEST(items_come_out_in_order),
        TEST(many_items_are_put_and_taken_at_a_time),
        TEST(an_item_that_does_not_fit_stays),
        TEST(an_item_is_read_where_it_lies),
        TEST(an_item_whose_reader_is_killed_is_the_next_consumers),
        TEST(limits_are_kept),
        TEST(a_child_puts_and_its_parent_takes),
        TEST(a_killed_child_leaves_the_queue_usable),
        TEST(a_descriptor_is_enough_to_attach),
        TEST(a_bell_that_is_none_is_refused_and_stays_open),
        TEST(a_selectable_queue_can_be_polled),
        TEST(closing_ends_it_for_all),
        TEST(corrupted_memory_gives_an_error),
        TEST(an_item_without_memory_is_not_lost),
        TEST(without_descriptors_a_queue_cannot_be_made),
    };
    return run_tests(tests, sizeof tests / sizeof tests[0], argc, argv);
}
