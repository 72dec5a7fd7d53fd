/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Processes: functions in forks of this process and of a fork server, programs, and how they end. */
#define _XOPEN_SOURCE 700
#include "harness.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static carrick_process_options defaults(void)
{
    carrick_process_options options;
    OK(carrick_process_options_init(&options));
    return options;
}

static int32_t join(const carrick_process *process)
{
    int32_t code = -1000;
    OK(carrick_process_join(process, FOREVER, &code));
    return code;
}

static int32_t ended(carrick_process *process)
{
    int32_t code = join(process);
    carrick_process_free(process);
    return code;
}

static int32_t first_byte(const uint8_t *argument, size_t argument_len, const carrick_connection *channel)
{
    CHECK(channel == NULL);
    return argument_len == 0 ? 0 : argument[0];
}

static int32_t wait_for_ever(const uint8_t *argument, size_t argument_len, const carrick_connection *channel)
{
    (void)argument, (void)argument_len, (void)channel;
    while (pause() < 0)
        ;
    return 1;
}

static int32_t echo(const uint8_t *argument, size_t argument_len, const carrick_connection *channel)
{
    uint8_t *data = NULL;
    size_t len = 0;
    OK(carrick_connection_recv(channel, FOREVER, &data, &len));
    OK(carrick_connection_send(channel, argument, argument_len, FOREVER));
    OK(carrick_connection_send(channel, data, len, FOREVER));
    carrick_bytes_free(data, len);
    return 0;
}

static carrick_process *start(carrick_process_fn function, const char *argument, const carrick_process_options *options)
{
    carrick_process *process = NULL;
    OK(carrick_process_start(function, (const uint8_t *)argument, strlen(argument), options, &process));
    return process;
}

/* The tests for forks of this process and, with a server, for its. */
static void functions(const carrick_fork_server *server)
{
    carrick_process_options options = defaults();
    carrick_process *process = NULL, *many[20];
    carrick_connection *channel = NULL;
    uint8_t *data = NULL;
    size_t len = 0, i;
    int32_t pid = 0, fd = -1, alive = -1, code = 77;
    struct pollfd poll_fd;

    options.server = server;
    CHECK(ended(start(first_byte, "", &options)) == 0);
    CHECK(ended(start(first_byte, "A", &options)) == 'A');

    process = start(wait_for_ever, "", &options);
    OK(carrick_process_pid(process, &pid));
    CHECK(pid > 0 && kill(pid, 0) == 0);
    OK(carrick_process_is_alive(process, &alive));
    CHECK(alive == 1);
    STATUS(CARRICK_E_WOULD_BLOCK, carrick_process_join(process, 0, &code));
    OK(carrick_process_signal(process, SIGSTOP));
    STATUS(CARRICK_E_TIMEOUT, carrick_process_join(process, 10000000, &code));
    CHECK(code == 77);
    OK(carrick_process_kill(process));
    OK(carrick_process_fd(process, &fd));
    poll_fd.fd = fd;
    poll_fd.events = POLLIN;
    CHECK(poll(&poll_fd, 1, -1) == 1);
    CHECK(join(process) == -SIGKILL);
    CHECK(join(process) == -SIGKILL);
    OK(carrick_process_is_alive(process, &alive));
    CHECK(alive == 0);
    OK(carrick_process_terminate(process));
    STATUS(CARRICK_E_STATE, carrick_process_take_channel(process, &channel));
    carrick_process_free(process);

    options.channel = 1;
    process = start(echo, "first", &options);
    OK(carrick_process_take_channel(process, &channel));
    STATUS(CARRICK_E_STATE, carrick_process_take_channel(process, &channel));
    OK(carrick_connection_send(channel, (const uint8_t *)"second", 6, FOREVER));
    OK(carrick_connection_recv(channel, FOREVER, &data, &len));
    CHECK(len == 5 && memcmp(data, "first", 5) == 0);
    carrick_bytes_free(data, len);
    OK(carrick_connection_recv(channel, FOREVER, &data, &len));
    CHECK(len == 6 && memcmp(data, "second", 6) == 0);
    carrick_bytes_free(data, len);
    carrick_connection_free(channel);
    CHECK(ended(process) == 0);

    options.channel = 0;
    options.daemon = 1;
    for (i = 0; i < 20; i++)
        many[i] = start(wait_for_ever, "", &options);
    for (i = 0; i < 20; i++)
        OK(carrick_process_terminate(many[i]));
    for (i = 0; i < 20; i++)
        CHECK(ended(many[i]) == -SIGTERM);
}

/* Processes orphaned in this test become children of it, and are waited for here. */
static void adopt_orphans(void)
{
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
}

static void bury_orphans(void)
{
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
}

/* A process keeps the two descriptors of its lifeline. */
static void tie_lifeline(void)
{
    carrick_process_options options = defaults();
    options.daemon = 1;
    CHECK(ended(start(first_byte, "", &options)) == 0);
}

static void a_function_runs_in_a_fork(void)
{
    carrick_process_options options = defaults();
    carrick_descriptor descriptor = {0, 9};
    carrick_process *process = NULL;
    int before;
    tie_lifeline();
    before = open_descriptors();
    functions(NULL);
    options.descriptors = &descriptor;
    options.descriptors_len = 1;
    STATUS(CARRICK_E_INVALID, carrick_process_start(first_byte, NULL, 0, &options, &process));
    CHECK(open_descriptors() == before);
    exit(0);
}

static int32_t write_to_30_and_31(const uint8_t *argument, size_t argument_len, const carrick_connection *channel)
{
    (void)argument_len, (void)channel;
    return write(30, argument, 1) == 1 && write(31, argument + 1, 1) == 1 ? 0 : 1;
}

static void a_function_runs_in_a_child_of_a_fork_server(void)
{
    carrick_process_options options = defaults();
    carrick_fork_server *server = NULL;
    carrick_descriptor descriptors[2];
    int left[2], right[2], before;
    char byte = 0;
    adopt_orphans();
    tie_lifeline();
    before = open_descriptors();
    OK(carrick_fork_server_new(&server));
    functions(server);
    CHECK(pipe(left) == 0 && pipe(right) == 0);
    descriptors[0].fd = left[1];
    descriptors[0].number = 30;
    descriptors[1].fd = right[1];
    descriptors[1].number = 31;
    options.server = server;
    options.descriptors = descriptors;
    options.descriptors_len = 2;
    CHECK(ended(start(write_to_30_and_31, "lr", &options)) == 0);
    CHECK(read(left[0], &byte, 1) == 1 && byte == 'l');
    CHECK(read(right[0], &byte, 1) == 1 && byte == 'r');
    close(left[0]), close(left[1]), close(right[0]), close(right[1]);
    carrick_fork_server_free(server);
    bury_orphans();
    CHECK(open_descriptors() == before);
    exit(0);
}

/* It starts programs in its own way: one that is not there is not noticed, and /proc/self/exe is valgrind. */
static int valgrind_starts_programs(void)
{
    if (getenv("CARRICK_UNDER_VALGRIND") == NULL)
        return 0;
    printf("# left out: valgrind starts programs in its own way\n");
    return 1;
}

/* The last message of an error has these words. */
static void names(const char *words)
{
    char text[300];
    size_t len = 0;
    OK(carrick_last_error(text, sizeof text - 1, &len));
    text[len] = 0;
    CHECK(strstr(text, words) != NULL);
}

static void a_program_has_what_it_was_given(void)
{
    static const char *environment[] = {"NAME=value", NULL};
    static const char *shell[] = {"/bin/sh", "-c", "read line; echo $line $NAME $PWD $0 >&7", "zero", NULL};
    static const char *missing[] = {"/no/such/program", NULL}, *none[] = {NULL}, *nothing[] = {"NAME", NULL};
    carrick_process_options options = defaults();
    carrick_descriptor descriptor;
    carrick_process *process = NULL;
    char text[100];
    int in[2], out[2];
    ssize_t n;
    if (valgrind_starts_programs())
        return;
    CHECK(pipe(in) == 0 && pipe(out) == 0);
    descriptor.fd = out[1];
    descriptor.number = 7;
    options.descriptors = &descriptor;
    options.descriptors_len = 1;
    options.stdin_fd = in[0];
    options.environment = environment;
    options.directory = "/usr";
    options.directory_len = 4;
    options.new_session = 1;
    OK(carrick_process_spawn(shell, &options, &process));
    CHECK(write(in[1], "word\n", 5) == 5);
    n = read(out[0], text, sizeof text);
    CHECK(n > 0 && (size_t)n == strlen("word value /usr zero\n") && memcmp(text, "word value /usr zero\n", (size_t)n) == 0);
    CHECK(ended(process) == 0);
    STATUS(CARRICK_E_OS, carrick_process_spawn(missing, NULL, &process));
    CHECK(carrick_last_os_error() == ENOENT);
    names("the program \"/no/such/program\"");
    options = defaults();
    options.directory = "/no/such";
    options.directory_len = strlen(options.directory);
    STATUS(CARRICK_E_OS, carrick_process_spawn(shell, &options, &process));
    CHECK(carrick_last_os_error() == ENOENT);
    names("the directory \"/no/such\"");
    options = defaults();
    options.process_group = -2;
    STATUS(CARRICK_E_INVALID, carrick_process_spawn(shell, &options, &process));
    names("process group -2");
    options = defaults();
    STATUS(CARRICK_E_INVALID, carrick_process_spawn(none, NULL, &process));
    options.environment = nothing;
    STATUS(CARRICK_E_INVALID, carrick_process_spawn(shell, &options, &process));
    options = defaults();
    options.channel = 2;
    STATUS(CARRICK_E_INVALID, carrick_process_spawn(shell, &options, &process));
    options = defaults();
    options.daemon = 2;
    STATUS(CARRICK_E_INVALID, carrick_process_spawn(shell, &options, &process));
    close(in[0]), close(in[1]), close(out[0]), close(out[1]);
}

/* The work of this program when it is started as the child of the next test. */
static int child_of_a_channel(void)
{
    carrick_connection *channel = NULL, *again = NULL;
    uint8_t *data = NULL;
    size_t len = 0;
    OK(carrick_process_parent_channel(&channel));
    STATUS(CARRICK_E_STATE, carrick_process_parent_channel(&again));
    OK(carrick_connection_recv(channel, FOREVER, &data, &len));
    OK(carrick_connection_send(channel, data, len, FOREVER));
    carrick_bytes_free(data, len);
    carrick_connection_free(channel);
    return 3;
}

static void a_program_has_a_channel_to_the_one_that_started_it(void)
{
    static const char *program[] = {"/proc/self/exe", "child of a channel", NULL};
    carrick_process_options options = defaults();
    carrick_process *process = NULL;
    carrick_connection *channel = NULL;
    uint8_t *data = NULL;
    size_t len = 0;
    if (valgrind_starts_programs())
        return;
    STATUS(CARRICK_E_STATE, carrick_process_parent_channel(&channel));
    options.channel = 1;
    OK(carrick_process_spawn(program, &options, &process));
    OK(carrick_process_take_channel(process, &channel));
    STATUS(CARRICK_E_STATE, carrick_process_take_channel(process, &channel));
    OK(carrick_connection_send(channel, (const uint8_t *)"word", 4, FOREVER));
    OK(carrick_connection_recv(channel, FOREVER, &data, &len));
    CHECK(len == 4 && memcmp(data, "word", 4) == 0);
    carrick_bytes_free(data, len);
    STATUS(CARRICK_E_EOF, carrick_connection_recv(channel, FOREVER, &data, &len));
    carrick_connection_free(channel);
    CHECK(ended(process) == 3);
    CHECK(setenv("CARRICK_CHANNEL", "word", 1) == 0);
    STATUS(CARRICK_E_INVALID, carrick_process_parent_channel(&channel));
    CHECK(setenv("CARRICK_CHANNEL", "99", 1) == 0);
    STATUS(CARRICK_E_OS, carrick_process_parent_channel(&channel));
    CHECK(carrick_last_os_error() == EBADF);
}

/* Starts daemons of each kind, which have a copy of descriptor 40, and waits to be killed. */
static int32_t parent_of_daemons(const uint8_t *argument, size_t argument_len, const carrick_connection *channel)
{
    static const char *sleeps[] = {"sleep", "1000", NULL};
    carrick_process_options options = defaults();
    carrick_descriptor descriptor = {40, 40};
    carrick_process *process = NULL;
    (void)argument, (void)argument_len;
    options.daemon = 1;
    OK(carrick_process_start(wait_for_ever, NULL, 0, &options, &process));
    options.descriptors = &descriptor;
    options.descriptors_len = 1;
    OK(carrick_process_spawn(sleeps, &options, &process));
    memcpy(&options.server, argument, sizeof options.server);
    OK(carrick_process_start(wait_for_ever, NULL, 0, &options, &process));
    OK(carrick_connection_send(channel, (const uint8_t *)"ready", 5, FOREVER));
    return wait_for_ever(NULL, 0, NULL);
}

static void daemons_end_with_a_parent_that_is_killed(void)
{
    carrick_process_options options = defaults();
    carrick_fork_server *server = NULL;
    carrick_process *process = NULL;
    carrick_connection *channel = NULL;
    uint8_t *data = NULL;
    size_t len = 0;
    char byte;
    int ends[2];
    adopt_orphans();
    OK(carrick_fork_server_new(&server));
    CHECK(pipe(ends) == 0 && dup2(ends[1], 40) == 40);
    options.channel = 1;
    OK(carrick_process_start(parent_of_daemons, (const uint8_t *)&server, sizeof server, &options, &process));
    close(40), close(ends[1]);
    OK(carrick_process_take_channel(process, &channel));
    OK(carrick_connection_recv(channel, FOREVER, &data, &len));
    carrick_bytes_free(data, len);
    OK(carrick_process_kill(process));
    CHECK(ended(process) == -SIGKILL);
    /* The end of the pipe: nobody has a copy any more. */
    CHECK(read(ends[0], &byte, 1) == 0);
    close(ends[0]);
    carrick_connection_free(channel);
    carrick_fork_server_free(server);
    bury_orphans();
}

static void a_fork_server_that_is_killed_is_told(void)
{
    carrick_process_options options = defaults();
    carrick_fork_server *server = NULL;
    carrick_process *running = NULL, *process = NULL;
    int32_t pid = 0;
    FILE *status;
    siginfo_t info;
    char line[200], path[100];
    int parent = 0;
    adopt_orphans();
    OK(carrick_fork_server_new(&server));
    options.server = server;
    running = start(wait_for_ever, "", &options);
    OK(carrick_process_pid(running, &pid));
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    status = fopen(path, "r");
    CHECK(status != NULL);
    while (fgets(line, sizeof line, status) != NULL)
        (void)sscanf(line, "PPid: %d", &parent);
    fclose(status);
    CHECK(parent > 0 && parent != getpid() && kill(parent, SIGKILL) == 0);
    CHECK(waitid(P_PID, (id_t)parent, &info, WEXITED | WNOWAIT) == 0);
    /* Nobody can tell how this one ends; it can be killed still, by its number. */
    CHECK(join(running) == 255);
    carrick_process_free(running);
    CHECK(kill(pid, SIGKILL) == 0);
    STATUS(CARRICK_E_CLOSED, carrick_process_start(first_byte, NULL, 0, &options, &process));
    carrick_fork_server_free(server);
    bury_orphans();
}

static volatile sig_atomic_t handled;

static void handle(int number)
{
    (void)number;
    handled++;
}

static void a_signal_does_not_end_a_join(void)
{
    struct itimerspec every = {{0, 1000000}, {0, 1000000}};
    carrick_process *process = start(wait_for_ever, "", NULL);
    struct sigaction action;
    struct sigevent event;
    timer_t ticks;
    int32_t code = 0;
    memset(&action, 0, sizeof action);
    memset(&event, 0, sizeof event);
    action.sa_handler = handle;
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR1;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &ticks) == 0 && timer_settime(ticks, 0, &every, NULL) == 0);
    STATUS(CARRICK_E_TIMEOUT, carrick_process_join(process, SECOND / 10, &code));
    CHECK(timer_delete(ticks) == 0 && handled > 0);
    OK(carrick_process_kill(process));
    CHECK(ended(process) == -SIGKILL);
}

static void a_stopped_child_is_alive_and_can_be_killed(void)
{
    carrick_process *process = start(wait_for_ever, "", NULL);
    siginfo_t info;
    int32_t pid = 0, alive = 0, code = 0;
    OK(carrick_process_pid(process, &pid));
    CHECK(kill(pid, SIGSTOP) == 0);
    CHECK(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT) == 0);
    STATUS(CARRICK_E_WOULD_BLOCK, carrick_process_join(process, 0, &code));
    STATUS(CARRICK_E_TIMEOUT, carrick_process_join(process, 1000000, &code));
    OK(carrick_process_is_alive(process, &alive));
    CHECK(alive == 1);
    OK(carrick_process_kill(process));
    CHECK(ended(process) == -SIGKILL);
}

/* Executes what the argument says in a shell. */
static int32_t become_shell(const uint8_t *argument, size_t argument_len, const carrick_connection *channel)
{
    char words[200];
    (void)channel;
    CHECK(argument_len < sizeof words);
    memcpy(words, argument, argument_len);
    words[argument_len] = 0;
    execl("/bin/sh", "sh", "-c", words, (char *)NULL);
    return 99;
}

static void a_child_that_executes_another_program_is_the_same_process(void)
{
    carrick_process_options options = defaults();
    carrick_fork_server *server = NULL;
    carrick_process *process = NULL;
    carrick_descriptor descriptors[2];
    int32_t code = 0, alive = 0;
    int in[2], out[2], by_server;
    char byte = 0;
    adopt_orphans();
    OK(carrick_fork_server_new(&server));
    CHECK(pipe(in) == 0 && pipe(out) == 0);
    CHECK(dup2(in[0], 30) == 30 && dup2(out[1], 31) == 31);
    descriptors[0].fd = descriptors[0].number = 30;
    descriptors[1].fd = descriptors[1].number = 31;
    for (by_server = 0; by_server < 2; by_server++) {
        if (by_server) {
            options.server = server;
            options.descriptors = descriptors;
            options.descriptors_len = 2;
        }
        process = start(become_shell, "printf x >/dev/fd/31; read line </dev/fd/30; exit 5", &options);
        CHECK(read(out[0], &byte, 1) == 1 && byte == 'x');
        STATUS(CARRICK_E_TIMEOUT, carrick_process_join(process, 10000000, &code));
        OK(carrick_process_is_alive(process, &alive));
        CHECK(alive == 1);
        CHECK(write(in[1], "y\n", 2) == 2);
        CHECK(ended(process) == 5);
    }
    close(30), close(31), close(in[0]), close(in[1]), close(out[0]), close(out[1]);
    carrick_fork_server_free(server);
    bury_orphans();
}

typedef struct {
    carrick_lock *lock;
    carrick_queue *queue;
} held;

static void execute(void *user_data, const uint8_t *data, size_t data_len)
{
    static const char words[] = "printf x >/dev/fd/31; exec sleep 1000";
    (void)user_data;
    CHECK(data_len == 4 && memcmp(data, "kept", 4) == 0);
    (void)become_shell((const uint8_t *)words, sizeof words - 1, NULL);
}

/* Executes another program with a lock and an item in its hands. */
static int32_t hold_and_execute(const uint8_t *argument, size_t argument_len, const carrick_connection *channel)
{
    held both;
    (void)channel;
    CHECK(argument_len == sizeof both);
    memcpy(&both, argument, sizeof both);
    OK(carrick_lock_acquire(both.lock, FOREVER));
    OK(carrick_queue_get_in_place(both.queue, execute, NULL, FOREVER));
    return 1;
}

static void who_executes_another_program_holds_its_lock_and_its_item_until_that_ends(void)
{
    carrick_process *process = NULL;
    uint8_t buffer[10];
    size_t len = 0;
    char byte = 0;
    int out[2];
    held both = {NULL, NULL};
    OK(carrick_lock_new(NULL, &both.lock));
    OK(carrick_queue_new(NULL, &both.queue));
    OK(carrick_queue_put(both.queue, (const uint8_t *)"kept", 4, FOREVER));
    CHECK(pipe(out) == 0 && dup2(out[1], 31) == 31);
    OK(carrick_process_start(hold_and_execute, (const uint8_t *)&both, sizeof both, NULL, &process));
    CHECK(read(out[0], &byte, 1) == 1 && byte == 'x');
    STATUS(CARRICK_E_TIMEOUT, carrick_lock_acquire(both.lock, 3 * SECOND / 10));
    STATUS(CARRICK_E_TIMEOUT, carrick_queue_get_into(both.queue, buffer, sizeof buffer, 3 * SECOND / 10, &len));
    OK(carrick_process_kill(process));
    STATUS(CARRICK_E_OWNER_DIED, carrick_lock_acquire(both.lock, FOREVER));
    OK(carrick_queue_get_into(both.queue, buffer, sizeof buffer, FOREVER, &len));
    CHECK(len == 4 && memcmp(buffer, "kept", 4) == 0);
    CHECK(ended(process) == -SIGKILL);
    OK(carrick_lock_release(both.lock));
    close(31), close(out[0]), close(out[1]);
    carrick_lock_free(both.lock);
    carrick_queue_free(both.queue);
}

static void a_child_has_ended_though_a_child_of_its_own_lives(void)
{
    carrick_process *process = NULL;
    char text[20] = "", byte = 0;
    int out[2];
    adopt_orphans();
    CHECK(pipe(out) == 0 && dup2(out[1], 31) == 31);
    process = start(become_shell, "sleep 1000 & echo $! >/dev/fd/31", NULL);
    CHECK(ended(process) == 0);
    CHECK(read(out[0], text, sizeof text - 1) > 1);
    CHECK(kill((pid_t)strtol(text, NULL, 10), SIGKILL) == 0);
    close(31), close(out[1]);
    bury_orphans();
    CHECK(read(out[0], &byte, 1) == 0);
    close(out[0]);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"a_function_runs_in_a_fork", a_function_runs_in_a_fork},
        {"a_function_runs_in_a_child_of_a_fork_server", a_function_runs_in_a_child_of_a_fork_server},
        {"a_program_has_what_it_was_given", a_program_has_what_it_was_given},
        {"a_program_has_a_channel_to_the_one_that_started_it", a_program_has_a_channel_to_the_one_that_started_it},
        {"daemons_end_with_a_parent_that_is_killed", daemons_end_with_a_parent_that_is_killed},
        {"a_fork_server_that_is_killed_is_told", a_fork_server_that_is_killed_is_told},
        {"a_signal_does_not_end_a_join", a_signal_does_not_end_a_join},
        {"a_stopped_child_is_alive_and_can_be_killed", a_stopped_child_is_alive_and_can_be_killed},
        {"a_child_that_executes_another_program_is_the_same_process",
         a_child_that_executes_another_program_is_the_same_process},
        {"who_executes_another_program_holds_its_lock_and_its_item_until_that_ends",
         who_executes_another_program_holds_its_lock_and_its_item_until_that_ends},
        {"a_child_has_ended_though_a_child_of_its_own_lives", a_child_has_ended_though_a_child_of_its_own_lives},
    };
    if (argc > 1 && strcmp(argv[1], "child of a channel") == 0)
        return child_of_a_channel();
    return run_tests(tests, sizeof tests / sizeof *tests, argc, argv);
}
