/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The C end of the matrix of shared memory; shared.py has the contract. */
#define _POSIX_C_SOURCE 200809L
#include "carrick.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define ITEMS 500
#define TIMEOUT ((int64_t)30 * 1000000000)
#define MUST(condition)                                                                                        \
    do {                                                                                                       \
        if (!(condition)) {                                                                                    \
            fprintf(stderr, "actor.c:%d: not so: %s\n", __LINE__, #condition);                                 \
            exit(1);                                                                                           \
        }                                                                                                      \
    } while (0)
#define OK(call) MUST((call) == CARRICK_OK)

static carrick_queue *items, *report;
static carrick_lock *lock;
static carrick_event *held;

static size_t make_item(int number, uint8_t *body)
{
    size_t head = (size_t)sprintf((char *)body, "%d:", number), rest = (size_t)(number * 37 % 3000);
    memset(body + head, number % 251, rest);
    return head + rest;
}

static int inherited(int fd)
{
    MUST(fcntl(fd, F_SETFD, 0) == 0);
    return fd;
}

static pid_t start(const char *role, char *command, char *const *handed_on, int handed_count)
{
    char *arguments[24];
    int count = 0, i;
    pid_t child;
    for (command = strtok(command, "\x1f"); command != NULL; command = strtok(NULL, "\x1f"))
        arguments[count++] = command;
    arguments[count++] = (char *)(size_t)role;
    for (i = 0; i < handed_count; i++)
        arguments[count++] = handed_on[i];
    arguments[count] = NULL;
    child = fork();
    MUST(child >= 0);
    if (child == 0) {
        execvp(arguments[0], arguments);
        _exit(127);
    }
    return child;
}

/* Starts the actors, prints the report and waits for their ends. */
static void attend(char **commands, carrick_queue *from, char *const *handed_on, int handed_count)
{
    static const char *const roles[] = {"produce", "consume", "hold"};
    uint8_t *text = NULL;
    size_t len = 0;
    pid_t children[3];
    int i, status;
    for (i = 0; i < 3; i++)
        children[i] = start(roles[i], commands[i], handed_on, handed_count);
    OK(carrick_queue_get(from, TIMEOUT, &text, &len));
    printf("%.*s\n", (int)len, (const char *)text);
    carrick_bytes_free(text, len);
    for (i = 0; i < 3; i++) {
        MUST(waitpid(children[i], &status, 0) == children[i]);
        MUST(i == 2 ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL : status == 0);
    }
}

static void create(char **commands)
{
    static char texts[8][16];
    char *handed_on[8];
    carrick_queue_options options;
    carrick_queue *queues[2];
    int32_t fds[8];
    uint32_t slots[2];
    int i;
    OK(carrick_queue_options_init(&options));
    options.selectable = 1;
    for (i = 0; i < 2; i++) {
        OK(carrick_queue_new(&options, &queues[i]));
        OK(carrick_queue_fd(queues[i], &fds[2 * i]));
        OK(carrick_queue_bell_fd(queues[i], &fds[2 * i + 1]));
    }
    OK(carrick_lock_new(NULL, &lock));
    OK(carrick_event_new(&held));
    OK(carrick_lock_place(lock, &fds[4], &slots[0]));
    OK(carrick_event_place(held, &fds[6], &slots[1]));
    fds[5] = (int32_t)slots[0];
    fds[7] = (int32_t)slots[1];
    for (i = 0; i < 8; i++) {
        sprintf(texts[i], "%d", i == 5 || i == 7 ? fds[i] : inherited(fds[i]));
        handed_on[i] = texts[i];
    }
    attend(commands, queues[1], handed_on, 8);
    carrick_queue_free(queues[0]);
    carrick_queue_free(queues[1]);
}

/* Writes the name of the object that the end `what` stands for. */
static size_t named(char *name, const char *beginning, const char *what)
{
    return (size_t)sprintf(name, "%s-%s", beginning, what);
}

static void name_all(char **commands)
{
    static const char *const ends[] = {"items", "report", "lock", "held"};
    char beginning[32], name[64], *handed_on[1];
    int i;
    sprintf(beginning, "actor-%ld", (long)getpid());
    handed_on[0] = beginning;
    OK(carrick_queue_create(name, named(name, beginning, "items"), NULL, &items));
    OK(carrick_queue_create(name, named(name, beginning, "report"), NULL, &report));
    OK(carrick_lock_create(name, named(name, beginning, "lock"), NULL, &lock));
    OK(carrick_event_create(name, named(name, beginning, "held"), &held));
    attend(commands, report, handed_on, 1);
    for (i = 0; i < 4; i++)
        OK(carrick_name_remove(name, named(name, beginning, ends[i])));
}

static int32_t open_named(const char *beginning, const char *what)
{
    char name[64];
    int32_t fd = -1;
    OK(carrick_name_open(name, named(name, beginning, what), &fd));
    return fd;
}

/* By descriptors and numbers. */
static void attach_all(char **numbers)
{
    OK(carrick_queue_attach(atoi(numbers[0]), atoi(numbers[1]), &items));
    OK(carrick_queue_attach(atoi(numbers[2]), atoi(numbers[3]), &report));
    OK(carrick_lock_attach(atoi(numbers[4]), (uint32_t)atoi(numbers[5]), NULL, &lock));
    OK(carrick_event_attach(atoi(numbers[6]), (uint32_t)atoi(numbers[7]), &held));
}

static void open_all(const char *beginning)
{
    OK(carrick_queue_attach(open_named(beginning, "items"), -1, &items));
    OK(carrick_queue_attach(open_named(beginning, "report"), -1, &report));
    OK(carrick_lock_attach(open_named(beginning, "lock"), 0, NULL, &lock));
    OK(carrick_event_attach(open_named(beginning, "held"), 0, &held));
}

static void produce(void)
{
    static uint8_t body[4096];
    carrick_status got;
    int number;
    OK(carrick_event_wait(held, TIMEOUT));
    got = carrick_lock_acquire(lock, TIMEOUT);
    MUST(got == CARRICK_OK || got == CARRICK_E_OWNER_DIED);
    OK(carrick_queue_put(items, (const uint8_t *)(got == CARRICK_OK ? "free" : "died"), 4, TIMEOUT));
    for (number = 0; number < ITEMS; number++)
        OK(carrick_queue_put(items, body, make_item(number, body), TIMEOUT));
    OK(carrick_lock_release(lock));
}

static void consume(void)
{
    static uint8_t body[4096], wanted[4096];
    char text[64];
    char first[8] = "";
    size_t len = 0;
    int number;
    OK(carrick_queue_get_into(items, (uint8_t *)first, sizeof first - 1, TIMEOUT, &len));
    for (number = 0; number < ITEMS; number++) {
        OK(carrick_queue_get_into(items, body, sizeof body, TIMEOUT, &len));
        MUST(len == make_item(number, wanted) && memcmp(body, wanted, len) == 0);
    }
    len = (size_t)sprintf(text, "%s, then %d items", first, ITEMS);
    OK(carrick_queue_put(report, (const uint8_t *)text, len, TIMEOUT));
}

static void hold(void)
{
    OK(carrick_lock_acquire(lock, TIMEOUT));
    OK(carrick_event_set(held));
    raise(SIGKILL);
}

int main(int argc, char **argv)
{
    MUST(argc == 3 || argc == 5 || argc == 10);
    if (argc == 5) {
        (strcmp(argv[1], "name") == 0 ? name_all : create)(argv + 2);
        return 0;
    }
    if (argc == 3)
        open_all(argv[2]);
    else
        attach_all(argv + 2);
    if (strcmp(argv[1], "produce") == 0)
        produce();
    else if (strcmp(argv[1], "consume") == 0)
        consume();
    else
        hold();
    return 0;
}
