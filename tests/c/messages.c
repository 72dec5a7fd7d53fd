/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Frames, handshakes and servers. */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void pair(carrick_connection **left, carrick_connection **right, const carrick_format *format)
{
    carrick_stream *a = NULL, *b = NULL;
    OK(carrick_stream_pair(&a, &b));
    OK(carrick_connection_new(a, format, left));
    OK(carrick_connection_new(b, format, right));
    carrick_stream_free(a);
    carrick_stream_free(b);
}

static void frames_cross_in_every_format(void)
{
    static const int widths[] = {1, 2, 4, 8};
    for (int kind = 0; kind < 6; kind++) {
        carrick_connection *left = NULL, *right = NULL;
        carrick_format format;
        uint8_t *data = NULL;
        size_t n = 9;
        OK(carrick_format_init(&format));
        format.kind = kind < 2 ? kind : CARRICK_FORMAT_CUSTOM;
        if (kind >= 2) {
            format.width = widths[kind - 2];
            format.big_endian = kind % 2;
        }
        pair(&left, &right, &format);
        carrick_slice parts[3] = {{(const uint8_t *)"he", 2}, {NULL, 0}, {(const uint8_t *)"llo", 3}};
        OK(carrick_connection_send_vectored(left, parts, 3, FOREVER));
        OK(carrick_connection_send(left, NULL, 0, FOREVER));
        OK(carrick_connection_recv(right, FOREVER, &data, &n));
        CHECK(n == 5 && memcmp(data, "hello", 5) == 0);
        carrick_bytes_free(data, n);
        OK(carrick_connection_recv(right, FOREVER, &data, &n));
        CHECK(n == 0);
        carrick_bytes_free(data, n);
        carrick_connection_free(left);
        STATUS(CARRICK_E_EOF, carrick_connection_recv(right, FOREVER, &data, &n));
        carrick_connection_free(right);
    }
}

static void a_frame_that_does_not_fit_stays(void)
{
    carrick_connection *left = NULL, *right = NULL;
    uint8_t small[3], large[8];
    size_t n = 0;
    uint64_t length = 0;
    pair(&left, &right, NULL);
    OK(carrick_connection_send(left, (const uint8_t *)"hello", 5, FOREVER));
    STATUS(CARRICK_E_BUFFER, carrick_connection_recv_into(right, small, sizeof small, FOREVER, &n));
    CHECK(n == 5);
    OK(carrick_connection_next_length(right, FOREVER, &length));
    CHECK(length == 5);
    OK(carrick_connection_recv_into(right, large, sizeof large, FOREVER, &n));
    CHECK(n == 5 && memcmp(large, "hello", 5) == 0);
    carrick_connection_free(left);
    carrick_connection_free(right);
}

static void hostile_heads_are_refused(void)
{
    static const struct {
        uint8_t bytes[12];
        size_t len;
        carrick_status status;
    } cases[] = {
        {{0xff, 0xff, 0xff, 0xfe}, 4, CARRICK_E_BAD_FRAME},
        {{0x80, 0, 0, 0}, 4, CARRICK_E_BAD_FRAME},
        {{0x7f, 0xff, 0xff, 0xff}, 4, CARRICK_E_FRAME_TOO_LARGE},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 12, CARRICK_E_FRAME_TOO_LARGE},
        {{0, 0}, 2, CARRICK_E_BAD_FRAME},
        {{0, 0, 0, 5, 'h', 'e'}, 6, CARRICK_E_BAD_FRAME},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        carrick_stream *a = NULL, *b = NULL;
        carrick_connection *right = NULL;
        uint8_t *data = NULL;
        size_t n = 0;
        OK(carrick_stream_pair(&a, &b));
        OK(carrick_connection_new(b, NULL, &right));
        OK(carrick_stream_send_all(a, cases[i].bytes, cases[i].len, FOREVER));
        carrick_stream_free(a);
        STATUS(cases[i].status, carrick_connection_recv(right, FOREVER, &data, &n));
        carrick_connection_free(right);
        carrick_stream_free(b);
    }
}

static void partial_frames_are_kept_without_blocking(void)
{
    carrick_stream *a = NULL, *b = NULL;
    carrick_connection *right = NULL;
    static const uint8_t frame[] = {0, 0, 0, 3, 'a', 'b', 'c'};
    uint8_t buffer[3];
    size_t n = 0;
    OK(carrick_stream_pair(&a, &b));
    OK(carrick_connection_new(b, NULL, &right));
    for (size_t i = 0; i < sizeof frame; i++) {
        STATUS(CARRICK_E_WOULD_BLOCK, carrick_connection_recv_into(right, buffer, 3, 0, &n));
        OK(carrick_stream_send_all(a, frame + i, 1, FOREVER));
    }
    OK(carrick_connection_recv_into(right, buffer, 3, 0, &n));
    CHECK(n == 3 && memcmp(buffer, "abc", 3) == 0);
    carrick_connection_free(right);
    carrick_stream_free(a);
    carrick_stream_free(b);
}

static void a_frame_is_taken_whole_without_blocking(void)
{
    carrick_connection *left = NULL, *right = NULL;
    size_t pending = 0, sent = 0, n = 0, size = 1 << 20;
    uint8_t *body = calloc(1, size), *data = NULL;
    carrick_status status;
    pair(&left, &right, NULL);
    while ((status = carrick_connection_send(left, body, size, 0)) == CARRICK_OK)
        sent++;
    CHECK(status == CARRICK_E_WOULD_BLOCK);
    OK(carrick_connection_pending(left, &pending));
    CHECK(sent >= 1 && pending > 0);
    for (size_t i = 0; i < sent; i++) {
        while (carrick_connection_recv(right, 0, &data, &n) == CARRICK_E_WOULD_BLOCK) {
            carrick_status flushed = carrick_connection_flush(left, 0);
            CHECK(flushed == CARRICK_OK || flushed == CARRICK_E_WOULD_BLOCK);
        }
        CHECK(n == size);
        carrick_bytes_free(data, n);
    }
    OK(carrick_connection_pending(left, &pending));
    CHECK(pending == 0);
    free(body);
    carrick_connection_free(left);
    carrick_connection_free(right);
}

static void a_short_struct_means_defaults_and_a_strange_one_is_refused(void)
{
    struct {
        carrick_format format;
        uint8_t more[8];
    } newer;
    carrick_connection *connection = NULL;
    carrick_stream *a = NULL, *b = NULL;
    OK(carrick_stream_pair(&a, &b));
    memset(&newer, 0, sizeof newer);
    OK(carrick_format_init(&newer.format));
    newer.format.struct_size = sizeof newer;
    OK(carrick_connection_new(a, &newer.format, &connection));
    carrick_connection_free(connection);
    newer.more[3] = 1;
    STATUS(CARRICK_E_VERSION, carrick_connection_new(a, &newer.format, &connection));
    newer.format.struct_size = 0;
    STATUS(CARRICK_E_VERSION, carrick_connection_new(a, &newer.format, &connection));
    newer.format.struct_size = sizeof(size_t);
    newer.format.kind = 77;
    OK(carrick_connection_new(a, &newer.format, &connection));
    carrick_connection_free(connection);
    newer.format.struct_size = sizeof newer.format;
    STATUS(CARRICK_E_INVALID, carrick_connection_new(a, &newer.format, &connection));
    carrick_stream_free(a);
    carrick_stream_free(b);
}

static carrick_status shout(void *user_data, const carrick_request *request, const uint8_t *data, size_t n)
{
    uint8_t answer[64];
    (void)user_data;
    if (n > sizeof answer)
        return CARRICK_E_INVALID;
    if (n == 4 && memcmp(data, "fail", 4) == 0)
        return -1;
    if (n == 3 && memcmp(data, "bye", 3) == 0)
        (void)carrick_request_close(request);
    for (size_t i = 0; i < n; i++)
        answer[i] = (uint8_t)(data[i] >= 'a' && data[i] <= 'z' ? data[i] - 32 : data[i]);
    return carrick_request_reply(request, answer, n);
}

static void count_drop(void *user_data) { ++*(int *)user_data; }

static void address_of(const carrick_server *server, char *where, size_t cap)
{
    size_t len = 0;
    OK(carrick_server_address(server, where, cap - 1, &len));
    where[len] = '\0';
}

static void ask(carrick_connection *connection, const char *question, const char *answer)
{
    uint8_t buffer[64];
    size_t n = 0;
    OK(carrick_connection_send(connection, (const uint8_t *)question, strlen(question), FOREVER));
    OK(carrick_connection_recv_into(connection, buffer, sizeof buffer, FOREVER, &n));
    CHECK(n == strlen(answer) && memcmp(buffer, answer, n) == 0);
}

static void a_message_server_answers_and_counts(void)
{
    char where[100];
    int dropped = 0;
    uint64_t stats[CARRICK_STATS_COUNT];
    size_t count = 0, n = 0;
    uint8_t byte;
    carrick_server *server = NULL;
    carrick_connection *first = NULL, *second = NULL;
    OK(carrick_message_server_bind(CARRICK_TEXT("127.0.0.1:0"), NULL, shout, &dropped, count_drop, &server));
    OK(carrick_server_start(server));
    STATUS(CARRICK_E_STATE, carrick_server_start(server));
    address_of(server, where, sizeof where);
    OK(carrick_connection_connect(CARRICK_TEXT(where), NULL, NULL, FOREVER, &first));
    OK(carrick_connection_connect(CARRICK_TEXT(where), NULL, NULL, FOREVER, &second));
    ask(first, "hello", "HELLO");
    ask(second, "", "");
    ask(first, "bye", "BYE");
    STATUS(CARRICK_E_EOF, carrick_connection_recv_into(first, &byte, 1, FOREVER, &n));
    OK(carrick_connection_send(second, (const uint8_t *)"fail", 4, FOREVER));
    CHECK(carrick_connection_recv_into(second, &byte, 1, FOREVER, &n) != CARRICK_OK);
    OK(carrick_server_shutdown(server, FOREVER));
    OK(carrick_server_wait(server, FOREVER));
    OK(carrick_server_stats(server, stats, CARRICK_STATS_COUNT, &count));
    CHECK(count == CARRICK_STATS_COUNT && stats[0] == 2 && stats[1] == 0 && stats[3] >= 3 && stats[6] == 1);
    CHECK(dropped == 1);
    carrick_connection_free(first);
    carrick_connection_free(second);
    carrick_server_free(server);
}

static void user_data_stays_the_callers_when_binding_fails(void)
{
    int dropped = 0;
    carrick_server *server = NULL;
    STATUS(CARRICK_E_INVALID,
           carrick_message_server_bind(CARRICK_TEXT("nowhere"), NULL, shout, &dropped, count_drop, &server));
    STATUS(CARRICK_E_NULL,
           carrick_message_server_bind(CARRICK_TEXT("127.0.0.1:0"), NULL, NULL, &dropped, count_drop, &server));
    CHECK(dropped == 0 && server == NULL);
    OK(carrick_message_server_bind(CARRICK_TEXT("127.0.0.1:0"), NULL, shout, &dropped, count_drop, &server));
    carrick_server_free(server);
    CHECK(dropped == 1);
}

static void a_message_server_lets_in_who_has_the_key(void)
{
    static const int schemes[] = {CARRICK_SCHEME_MULTIPROCESSING, CARRICK_SCHEME_COURSE};
    for (int i = 0; i < 2; i++) {
        char where[100];
        uint8_t byte;
        size_t n = 0;
        carrick_auth_options auth;
        carrick_message_server_options options;
        carrick_server *server = NULL;
        carrick_connection *client = NULL;
        OK(carrick_auth_options_init(&auth));
        auth.key = (const uint8_t *)"secret";
        auth.key_len = 6;
        auth.scheme = schemes[i];
        OK(carrick_message_server_options_init(&options));
        options.auth = &auth;
        OK(carrick_message_server_bind(CARRICK_TEXT("127.0.0.1:0"), &options, shout, NULL, NULL, &server));
        OK(carrick_server_start(server));
        address_of(server, where, sizeof where);
        OK(carrick_connection_connect(CARRICK_TEXT(where), NULL, &auth, FOREVER, &client));
        ask(client, "hello", "HELLO");
        carrick_connection_free(client);
        client = NULL;
        auth.key_len = 5;
        if (auth.scheme == CARRICK_SCHEME_MULTIPROCESSING) {
            STATUS(CARRICK_E_AUTH_FAILED, carrick_connection_connect(CARRICK_TEXT(where), NULL, &auth, FOREVER, &client));
        } else {
            OK(carrick_connection_connect(CARRICK_TEXT(where), NULL, &auth, FOREVER, &client));
            CHECK(carrick_connection_recv_into(client, &byte, 1, FOREVER, &n) != CARRICK_OK);
            carrick_connection_free(client);
        }
        OK(carrick_server_shutdown(server, FOREVER));
        carrick_server_free(server);
    }
}

static carrick_status echo_stream(void *user_data, const carrick_session *session)
{
    const carrick_stream *stream = NULL;
    uint8_t buffer[64];
    size_t n = 0;
    (void)user_data;
    if (carrick_session_stream(session, &stream) != CARRICK_OK)
        return -1;
    for (;;) {
        carrick_status status = carrick_stream_recv(stream, buffer, sizeof buffer, FOREVER, &n);
        if (status != CARRICK_OK || n == 0)
            return status;
        status = carrick_stream_send_all(stream, buffer, n, FOREVER);
        if (status != CARRICK_OK)
            return status;
    }
}

static void talk_to_echo(const char *where)
{
    carrick_stream *client = NULL;
    uint8_t buffer[8];
    size_t n = 0;
    OK(carrick_stream_connect(CARRICK_TEXT(where), FOREVER, &client));
    OK(carrick_stream_send_all(client, (const uint8_t *)"knot", 4, FOREVER));
    OK(carrick_stream_recv(client, buffer, sizeof buffer, FOREVER, &n));
    CHECK(n == 4 && memcmp(buffer, "knot", 4) == 0);
    /* A handler in a child process has a copy of this descriptor, so closing ours does not end the connection. */
    OK(carrick_stream_shutdown(client, CARRICK_SHUTDOWN_WRITE));
    carrick_stream_free(client);
}

static void a_child_that_cannot_be_watched_is_ended(void)
{
    char where[100];
    carrick_stream_server_options options;
    carrick_server *server = NULL;
    carrick_stream *client = NULL;
    struct rlimit few, enough;
    uint8_t byte;
    size_t n = 9;
    OK(carrick_stream_server_options_init(&options));
    options.mode = CARRICK_MODE_PROCESSES;
    OK(carrick_stream_server_bind(CARRICK_TEXT("127.0.0.1:0"), &options, echo_stream, NULL, NULL, &server));
    address_of(server, where, sizeof where);
    OK(carrick_stream_connect(CARRICK_TEXT(where), FOREVER, &client));
    /* One more descriptor is the connection's; there is none left to watch its child by. */
    int lowest = dup(0);
    CHECK(lowest >= 0 && close(lowest) == 0 && getrlimit(RLIMIT_NOFILE, &enough) == 0);
    few = enough;
    few.rlim_cur = (rlim_t)lowest + 1;
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    OK(carrick_server_start(server));
    (void)carrick_stream_recv(client, &byte, 1, FOREVER, &n);
    CHECK(n == 0 || n == 9);
    CHECK(setrlimit(RLIMIT_NOFILE, &enough) == 0);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    talk_to_echo(where);
    carrick_stream_free(client);
    OK(carrick_server_shutdown(server, FOREVER));
    carrick_server_free(server);
}

static void a_stream_server_serves_in_every_mode(void)
{
    for (int mode = CARRICK_MODE_IN_TURN; mode <= CARRICK_MODE_PROCESSES; mode++) {
        char where[100];
        carrick_stream_server_options options;
        carrick_server *server = NULL;
        OK(carrick_stream_server_options_init(&options));
        options.mode = mode;
        OK(carrick_stream_server_bind(CARRICK_TEXT("127.0.0.1:0"), &options, echo_stream, NULL, NULL, &server));
        OK(carrick_server_start(server));
        address_of(server, where, sizeof where);
        for (int i = 0; i < 3; i++)
            talk_to_echo(where);
        OK(carrick_server_shutdown(server, FOREVER));
        carrick_server_free(server);
    }
}

static void a_drain_ends_a_handler_that_waits_for_its_client(void)
{
    char where[100];
    carrick_server *server = NULL;
    carrick_stream *client = NULL;
    uint8_t buffer[8];
    size_t n = 0;
    OK(carrick_stream_server_bind(CARRICK_TEXT("127.0.0.1:0"), NULL, echo_stream, NULL, NULL, &server));
    OK(carrick_server_start(server));
    address_of(server, where, sizeof where);
    OK(carrick_stream_connect(CARRICK_TEXT(where), FOREVER, &client));
    OK(carrick_stream_send_all(client, (const uint8_t *)"knot", 4, FOREVER));
    OK(carrick_stream_recv(client, buffer, sizeof buffer, FOREVER, &n));
    OK(carrick_server_shutdown(server, SECOND / 100));
    OK(carrick_stream_recv(client, buffer, sizeof buffer, FOREVER, &n));
    CHECK(n == 0);
    carrick_stream_free(client);
    carrick_server_free(server);
}

static carrick_server *signalled;

static void on_signal(int number)
{
    (void)number;
    (void)carrick_server_request_shutdown(signalled);
}

static void a_signal_handler_stops_a_server(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    OK(carrick_message_server_bind(CARRICK_TEXT("127.0.0.1:0"), NULL, shout, NULL, NULL, &signalled));
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    OK(carrick_server_start(signalled));
    CHECK(raise(SIGUSR1) == 0);
    OK(carrick_server_wait(signalled, FOREVER));
    carrick_server_free(signalled);
}

static carrick_status turn_round(void *user_data, const uint8_t *data, size_t data_len, const char *peer,
                                 size_t peer_len, uint8_t *reply, size_t reply_cap, size_t *reply_len)
{
    (void)user_data;
    if (peer_len == 0 || peer == NULL || data_len > reply_cap)
        return -1;
    for (size_t i = 0; i < data_len; i++)
        reply[i] = data[data_len - 1 - i];
    *reply_len = data_len;
    return 0;
}

static void a_datagram_server_answers(void)
{
    char where[100];
    carrick_server *server = NULL;
    carrick_datagram *client = NULL;
    uint8_t buffer[8];
    size_t n = 0;
    OK(carrick_datagram_server_bind(CARRICK_TEXT("127.0.0.1:0"), 0, turn_round, NULL, NULL, &server));
    OK(carrick_server_start(server));
    address_of(server, where, sizeof where);
    OK(carrick_datagram_unbound(CARRICK_TEXT(where), &client));
    OK(carrick_datagram_send_to(client, (const uint8_t *)"abc", 3, CARRICK_TEXT(where), FOREVER));
    OK(carrick_datagram_recv_from(client, buffer, sizeof buffer, FOREVER, &n, NULL, 0, NULL));
    CHECK(n == 3 && memcmp(buffer, "cba", 3) == 0);
    OK(carrick_server_shutdown(server, FOREVER));
    carrick_datagram_free(client);
    carrick_server_free(server);
}

static void a_server_is_only_forgotten_after_fork(void)
{
    carrick_server *server = NULL;
    OK(carrick_message_server_bind(CARRICK_TEXT("127.0.0.1:0"), NULL, shout, NULL, NULL, &server));
    pid_t child = fork();
    if (child == 0) {
        STATUS(CARRICK_E_FORKED, carrick_server_start(server));
        STATUS(CARRICK_E_FORKED, carrick_server_shutdown(server, 0));
        carrick_server_free(server);
        end_child(0);
    }
    int status = 1;
    CHECK(child > 0);
    while (waitpid(child, &status, 0) < 0)
        CHECK(errno == EINTR);
    CHECK(status == 0);
    carrick_server_free(server);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
#define TEST(name) {#name, name}
        TEST(frames_cross_in_every_format),
        TEST(a_frame_that_does_not_fit_stays),
        TEST(hostile_heads_are_refused),
        TEST(partial_frames_are_kept_without_blocking),
        TEST(a_frame_is_taken_whole_without_blocking),
        TEST(a_short_struct_means_defaults_and_a_strange_one_is_refused),
        TEST(a_message_server_answers_and_counts),
        TEST(user_data_stays_the_callers_when_binding_fails),
        TEST(a_message_server_lets_in_who_has_the_key),
        TEST(a_stream_server_serves_in_every_mode),
        TEST(a_child_that_cannot_be_watched_is_ended),
        TEST(a_drain_ends_a_handler_that_waits_for_its_client),
        TEST(a_signal_handler_stops_a_server),
        TEST(a_datagram_server_answers),
        TEST(a_server_is_only_forgotten_after_fork),
    };
    return run_tests(tests, sizeof tests / sizeof tests[0], argc, argv);
}
