/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* One end of the scenario matrix over the C face. README.md has the command line and the result lines. */
#define _GNU_SOURCE
#include "carrick.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { EXIT_OK = 0, EXIT_ERROR = 1, EXIT_USAGE = 2, EXIT_AUTH_FAILED = 3 };
enum { MESSAGES_MAX = 256, FOREVER = -1 };

static const char pickled_hex[] = "80049540000000000000007d94288c04726f7065948c076361727269636b948c07737472616e6473"
                                  "945d94284b014b024b03658c05627974657394430300ff0a948c046e6f6e65944e752e";
static const char default_messages[] = "0,1,64,16384,16385,1048576,pickle";

struct arguments {
    int is_listener;
    int is_unix;
    const char *address;
    uint8_t key[256];
    size_t key_len;
    int has_key;
    long count;
    long connections;
    char messages[4096];
    double timeout;
};

static void say(const char *line)
{
    printf("%s\n", line);
    fflush(stdout);
}

static int say_ok(long count)
{
    char line[40];
    snprintf(line, sizeof line, "OK %ld", count);
    say(line);
    return EXIT_OK;
}

/* The result line of a call that failed, and the exit code that goes with it. */
static int say_failure(carrick_status status)
{
    char text[400] = "", line[500];
    size_t len = 0;
    if (status == CARRICK_E_AUTH_FAILED) {
        say("AUTH-FAILED");
        return EXIT_AUTH_FAILED;
    }
    if (carrick_last_error(text, sizeof text - 1, &len) != CARRICK_OK)
        len = 0;
    text[len] = '\0';
    snprintf(line, sizeof line, "ERROR %s: %s", carrick_status_name(status), text);
    say(line);
    return EXIT_ERROR;
}

static int say_error(const char *text)
{
    char line[300];
    snprintf(line, sizeof line, "ERROR %s", text);
    say(line);
    return EXIT_ERROR;
}

static void give_up(int signal_number)
{
    static const char line[] = "ERROR no result in time\n";
    ssize_t written = write(STDOUT_FILENO, line, sizeof line - 1);
    (void)signal_number;
    (void)written;
    _exit(EXIT_ERROR);
}

static int start_watchdog(double seconds)
{
    struct sigaction action;
    struct itimerval timer;
    memset(&action, 0, sizeof action);
    memset(&timer, 0, sizeof timer);
    action.sa_handler = give_up;
    timer.it_value.tv_sec = (time_t)seconds;
    timer.it_value.tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6);
    return sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &timer, NULL) == 0;
}

/* Hex digits into bytes; their number, or SIZE_MAX where the text is not hex or too long. */
static size_t unhex(const char *text, uint8_t *out, size_t cap)
{
    size_t len = strlen(text);
    if (len % 2 != 0 || len / 2 > cap || strspn(text, "0123456789abcdefABCDEF") != len)
        return SIZE_MAX;
    for (size_t i = 0; i < len / 2; i++) {
        char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};
        out[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return len / 2;
}

static const carrick_auth_options *auth_of(const struct arguments *args, carrick_auth_options *storage)
{
    if (!args->has_key || carrick_auth_options_init(storage) != CARRICK_OK)
        return NULL;
    storage->key = args->key;
    storage->key_len = args->key_len;
    return storage;
}

/* The address in the form of the C face. */
static void place(const struct arguments *args, char *out, size_t cap)
{
    snprintf(out, cap, "%s%s", args->is_unix ? "unix:" : "", args->address);
}

/* Sends back up to count messages, then waits for the peer to close. */
static int echo(const carrick_connection *connection, long count)
{
    uint8_t *data = NULL;
    size_t len = 0;
    for (long done = 0;; done++) {
        carrick_status status = carrick_connection_recv(connection, FOREVER, &data, &len);
        if (status == CARRICK_E_EOF)
            return say_ok(done);
        if (done == count && status == CARRICK_E_OS && carrick_last_os_error() == ECONNRESET)
            return say_ok(done);
        if (status != CARRICK_OK)
            return say_failure(status);
        if (done < count)
            status = carrick_connection_send(connection, data, len, FOREVER);
        carrick_bytes_free(data, len);
        if (done == count)
            return say_error("a message more than announced");
        if (status != CARRICK_OK)
            return say_failure(status);
    }
}

static int serve_one(const carrick_listener *listener, const struct arguments *args)
{
    carrick_auth_options storage;
    const carrick_auth_options *auth = auth_of(args, &storage);
    carrick_stream *stream = NULL;
    carrick_connection *connection = NULL;
    int result;
    carrick_status status = carrick_listener_accept(listener, FOREVER, &stream);
    if (status == CARRICK_OK)
        status = carrick_connection_new(stream, NULL, &connection);
    if (status == CARRICK_OK && auth != NULL)
        status = carrick_connection_authenticate(connection, CARRICK_ROLE_SERVER, auth);
    result = status == CARRICK_OK ? echo(connection, args->count) : say_failure(status);
    carrick_connection_free(connection);
    carrick_stream_free(stream);
    return result;
}

static int run_listener(const struct arguments *args)
{
    carrick_listener *listener = NULL;
    char address[512], line[600];
    size_t len = 0;
    int worst = EXIT_OK;
    place(args, address, sizeof address);
    carrick_status status = carrick_listener_bind(CARRICK_TEXT(address), NULL, &listener);
    if (status == CARRICK_OK)
        status = carrick_listener_local_address(listener, address, sizeof address - 1, &len);
    if (status != CARRICK_OK) {
        carrick_listener_free(listener);
        return say_failure(status);
    }
    address[len] = '\0';
    snprintf(line, sizeof line, "LISTENING %s %s", args->is_unix ? "unix" : "tcp",
             args->is_unix ? address + strlen("unix:") : address);
    say(line);
    for (long i = 0; i < args->connections; i++) {
        int result = serve_one(listener, args);
        if (result == EXIT_ERROR || worst == EXIT_OK)
            worst = result;
    }
    carrick_listener_free(listener);
    return worst;
}

/* The message that a word of the list stands for, to be freed; NULL where there is none. */
static uint8_t *message_of(const char *word, size_t *out_len)
{
    char *end = NULL;
    size_t size;
    uint8_t *message;
    if (strcmp(word, "pickle") == 0) {
        size = sizeof pickled_hex / 2;
        message = malloc(size);
        *out_len = message == NULL ? 0 : unhex(pickled_hex, message, size);
        return message;
    }
    size = (size_t)strtoull(word, &end, 10);
    message = word[0] < '0' || word[0] > '9' || *end != '\0' ? NULL : malloc(size + 1);
    for (size_t i = 0; message != NULL && i < size; i++)
        message[i] = (uint8_t)((7 * i + size) % 251);
    *out_len = size;
    return message;
}

/* Sends one message and checks its echo; EXIT_OK says nothing, everything else has said its line. */
static int exchange(const carrick_connection *connection, const char *word)
{
    size_t sent_len = 0, back_len = 0;
    uint8_t *sent = message_of(word, &sent_len), *back = NULL;
    int result = EXIT_OK;
    if (sent == NULL)
        return say_error("a message is neither a size nor pickle");
    carrick_status status = carrick_connection_send(connection, sent, sent_len, FOREVER);
    if (status == CARRICK_OK)
        status = carrick_connection_recv(connection, FOREVER, &back, &back_len);
    if (status != CARRICK_OK)
        result = say_failure(status);
    else if (back_len != sent_len || memcmp(back, sent, sent_len) != 0)
        result = say_error("the echo differs");
    carrick_bytes_free(back, back_len);
    free(sent);
    return result;
}

static int run_client(struct arguments *args)
{
    carrick_auth_options storage;
    const carrick_auth_options *auth = auth_of(args, &storage);
    carrick_connection *connection = NULL;
    char address[512];
    long done = 0;
    int result = EXIT_OK;
    place(args, address, sizeof address);
    carrick_status status = carrick_connection_connect(CARRICK_TEXT(address), NULL, auth, FOREVER, &connection);
    if (status != CARRICK_OK)
        return say_failure(status);
    for (char *word = strtok(args->messages, ","); word != NULL && result == EXIT_OK; word = strtok(NULL, ",")) {
        result = exchange(connection, word);
        done++;
    }
    carrick_connection_free(connection);
    return result == EXIT_OK ? say_ok(done) : result;
}

static int number(const char *text, double *out)
{
    char *end = NULL;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out >= 0;
}

/* Reads one option into args; 0 where it makes no sense. */
static int take_option(struct arguments *args, const char *name, const char *value)
{
    double read = 0;
    if (strcmp(name, "--family") == 0) {
        args->is_unix = strcmp(value, "unix") == 0;
        return args->is_unix || strcmp(value, "tcp") == 0;
    }
    if (strcmp(name, "--address") == 0) {
        args->address = value;
        return 1;
    }
    if (strcmp(name, "--messages") == 0)
        return snprintf(args->messages, sizeof args->messages, "%s", value) < (int)sizeof args->messages;
    if (strcmp(name, "--key") == 0) {
        args->has_key = strcmp(value, "none") != 0;
        args->key_len = args->has_key ? unhex(value, args->key, sizeof args->key) : 0;
        return args->key_len != SIZE_MAX;
    }
    if (!number(value, &read))
        return 0;
    if (strcmp(name, "--count") == 0)
        args->count = (long)read;
    else if (strcmp(name, "--connections") == 0)
        args->connections = (long)read;
    else if (strcmp(name, "--timeout") == 0)
        args->timeout = read;
    else
        return 0;
    return 1;
}

int main(int argc, char **argv)
{
    static struct arguments args;
    args.address = "127.0.0.1:0";
    args.count = 7;
    args.connections = 1;
    args.timeout = 30;
    memcpy(args.messages, default_messages, sizeof default_messages);
    int understood = argc >= 2 && argc % 2 == 0;
    if (understood) {
        args.is_listener = strcmp(argv[1], "listener") == 0;
        understood = args.is_listener || strcmp(argv[1], "client") == 0;
    }
    for (int i = 2; understood && i + 1 < argc; i += 2)
        understood = take_option(&args, argv[i], argv[i + 1]);
    if (!understood || args.timeout <= 0) {
        fprintf(stderr, "usage: peer listener|client [--family tcp|unix] [--address A] [--key HEX|none] "
                        "[--count N] [--connections N] [--messages LIST] [--timeout SECONDS]\n");
        return EXIT_USAGE;
    }
    if (!start_watchdog(args.timeout))
        return say_error("no watchdog");
    return args.is_listener ? run_listener(&args) : run_client(&args);
}
