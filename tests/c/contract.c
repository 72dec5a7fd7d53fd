/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The promises of docs/c-api.md on handles, values, callbacks and fork. */
#define _GNU_SOURCE
#include "subjects.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void text_of_last_error(char *text, size_t cap)
{
    size_t len = 0;
    OK(carrick_last_error(text, cap - 1, &len));
    text[len] = '\0';
}

static void numbers_out_of_range_are_refused_and_named(void)
{
    static const int32_t strange[] = {INT32_MIN, -1, 99, INT32_MAX};
    static struct subjects s;
    char text[300], number[20];
    int32_t out = 0;
    int64_t value = 0;
    size_t n = 0;
    uint8_t tag[CARRICK_DIGEST_MAX];
    carrick_mac *mac = NULL;
    carrick_gate *gate = NULL;
    carrick_connection *connection = NULL;
    carrick_server *server = NULL;
    carrick_listener *listener = NULL;
    make_subjects(&s);
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        int32_t x = strange[i];
        snprintf(number, sizeof number, "%ld", (long)x);
#define REFUSED(code, call)                                                                                    \
    do {                                                                                                       \
        STATUS(code, call);                                                                                    \
        text_of_last_error(text, sizeof text);                                                                 \
        if (strstr(text, number) == NULL)                                                                      \
            fprintf(stderr, "%s: the message does not name %s: %s\n", #call, number, text);                    \
        CHECK(strstr(text, number) != NULL);                                                                   \
    } while (0)
        REFUSED(CARRICK_E_UNKNOWN_DIGEST, carrick_digest_size(x, &n));
        REFUSED(CARRICK_E_UNKNOWN_DIGEST, carrick_hmac(x, NULL, 0, NULL, 0, tag, sizeof tag, &n));
        REFUSED(CARRICK_E_UNKNOWN_DIGEST, carrick_mac_new(x, NULL, 0, &mac));
        REFUSED(CARRICK_E_INVALID, carrick_connection_authenticate(s.connection, x, &s.auth));
        REFUSED(CARRICK_E_INVALID, carrick_stream_shutdown(s.stream, x));
        REFUSED(CARRICK_E_INVALID, carrick_stream_set_option(s.stream, x, 1));
        REFUSED(CARRICK_E_INVALID, carrick_stream_get_option(s.stream, x, &value));
        REFUSED(CARRICK_E_INVALID, carrick_listener_set_option(s.listener, x, 1));
        REFUSED(CARRICK_E_INVALID, carrick_listener_get_option(s.listener, x, &value));
        REFUSED(CARRICK_E_INVALID, carrick_datagram_set_option(s.datagram, x, 1));
        REFUSED(CARRICK_E_INVALID, carrick_datagram_get_option(s.datagram, x, &value));
        REFUSED(CARRICK_E_INVALID, carrick_poller_add(s.poller, 0, 1, x));
        REFUSED(CARRICK_E_INVALID, carrick_poller_modify(s.poller, 0, x));
        /* Every int32_t of every options struct. */
#define FIELD(code, options, field, call)                                                                      \
    do {                                                                                                       \
        int32_t kept_ = options.field;                                                                         \
        options.field = x;                                                                                     \
        REFUSED(code, call);                                                                                   \
        options.field = kept_;                                                                                 \
    } while (0)
        FIELD(CARRICK_E_INVALID, s.auth, scheme, carrick_gate_new(&s.auth, &gate));
        FIELD(CARRICK_E_UNKNOWN_DIGEST, s.auth, digest, carrick_gate_new(&s.auth, &gate));
        FIELD(CARRICK_E_UNKNOWN_DIGEST, s.auth, min_digest, carrick_gate_new(&s.auth, &gate));
        FIELD(CARRICK_E_INVALID, s.format, kind, carrick_connection_new(s.stream, &s.format, &connection));
        s.format.kind = CARRICK_FORMAT_CUSTOM;
        FIELD(CARRICK_E_INVALID, s.format, big_endian, carrick_connection_new(s.stream, &s.format, &connection));
        FIELD(CARRICK_E_INVALID, s.format, is_signed, carrick_connection_new(s.stream, &s.format, &connection));
        FIELD(CARRICK_E_INVALID, s.format, width, carrick_connection_new(s.stream, &s.format, &connection));
        s.format.kind = CARRICK_FORMAT_MULTIPROCESSING;
        FIELD(CARRICK_E_INVALID, s.listen, reuse_address,
              carrick_listener_bind(CARRICK_TEXT("127.0.0.1:0"), &s.listen, &listener));
        FIELD(CARRICK_E_INVALID, s.listen, reuse_port,
              carrick_listener_bind(CARRICK_TEXT("127.0.0.1:0"), &s.listen, &listener));
        FIELD(CARRICK_E_INVALID, s.listen, only_v6,
              carrick_listener_bind(CARRICK_TEXT("127.0.0.1:0"), &s.listen, &listener));
        FIELD(CARRICK_E_INVALID, s.stream_server, mode,
              carrick_stream_server_bind(CARRICK_TEXT("127.0.0.1:0"), &s.stream_server, stream_handler, NULL, NULL,
                                         &server));
        FIELD(CARRICK_E_INVALID, s.stream_server, overload,
              carrick_stream_server_bind(CARRICK_TEXT("127.0.0.1:0"), &s.stream_server, stream_handler, NULL, NULL,
                                         &server));
        FIELD(CARRICK_E_INVALID, s.message_server, overload,
              carrick_message_server_bind(CARRICK_TEXT("127.0.0.1:0"), &s.message_server, message_handler, NULL,
                                          NULL, &server));
        if (x < 0) {
            carrick_stream *stream = NULL;
            carrick_datagram *datagram = NULL;
            REFUSED(CARRICK_E_INVALID, carrick_stream_from_fd(x, &stream));
            REFUSED(CARRICK_E_INVALID, carrick_datagram_from_fd(x, &datagram));
            REFUSED(CARRICK_E_INVALID, carrick_listener_from_fd(x, &listener));
        }
    }
    STATUS(CARRICK_E_OS, carrick_poller_add(s.poller, -1, 1, CARRICK_READABLE));
    CHECK(carrick_last_os_error() == EBADF);
    STATUS(CARRICK_E_OS, carrick_poller_remove(s.poller, 999));
    CHECK(mac == NULL && gate == NULL && connection == NULL && server == NULL && listener == NULL);
    (void)out;
    free_subjects(&s);
}

static void sizes_and_times_out_of_range_are_refused_or_mean_for_ever(void)
{
    static struct subjects s;
    carrick_server *server = NULL;
    char buffer[64];
    uint8_t byte = 0;
    size_t n = 0;
    carrick_ready ready[1];
    make_subjects(&s);
    STATUS(CARRICK_E_INVALID, carrick_stats_name(CARRICK_STATS_COUNT, buffer, sizeof buffer, &n));
    STATUS(CARRICK_E_INVALID, carrick_stats_name(SIZE_MAX, buffer, sizeof buffer, &n));
    STATUS(CARRICK_E_INVALID, carrick_stream_send(s.stream, &byte, SIZE_MAX, 0, &n));
    STATUS(CARRICK_E_INVALID, carrick_stream_recv(s.stream, &byte, SIZE_MAX, 0, &n));
    STATUS(CARRICK_E_INVALID, carrick_connection_send(s.connection, &byte, SIZE_MAX, 0));
    STATUS(CARRICK_E_INVALID, carrick_connection_send_vectored(s.connection, s.parts, SIZE_MAX, 0));
    STATUS(CARRICK_E_INVALID, carrick_stream_connect("x", SIZE_MAX, 0, &s.stream));
    STATUS(CARRICK_E_INVALID, carrick_datagram_server_bind(CARRICK_TEXT("127.0.0.1:0"), SIZE_MAX, datagram_handler,
                                                           NULL, NULL, &server));
    s.stream_server.max_handlers = 0;
    STATUS(CARRICK_E_INVALID, carrick_stream_server_bind(CARRICK_TEXT("127.0.0.1:0"), &s.stream_server,
                                                         stream_handler, NULL, NULL, &server));
    s.message_server.max_connections = 0;
    STATUS(CARRICK_E_INVALID, carrick_message_server_bind(CARRICK_TEXT("127.0.0.1:0"), &s.message_server,
                                                          message_handler, NULL, NULL, &server));
    s.message_server.max_connections = 1;
    s.message_server.max_threads = 0;
    STATUS(CARRICK_E_INVALID, carrick_message_server_bind(CARRICK_TEXT("127.0.0.1:0"), &s.message_server,
                                                          message_handler, NULL, NULL, &server));
    CHECK(server == NULL);
    /* Times at the ends of their range: something is there, so no call waits. */
    static const int64_t times[] = {INT64_MIN, -1, 0, INT64_MAX};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        int32_t is_ready = 0, fd = -1;
        OK(carrick_stream_send_all(s.other_end, &byte, 1, times[i]));
        OK(carrick_stream_wait_readable(s.stream, times[i], &is_ready));
        CHECK(is_ready == 1);
        OK(carrick_stream_fd(s.stream, &fd));
        OK(carrick_poller_add(s.poller, fd, UINT64_MAX - 1, CARRICK_READABLE));
        OK(carrick_poller_wait(s.poller, ready, 1, times[i], &n));
        CHECK(n == 1 && ready[0].token == UINT64_MAX - 1);
        OK(carrick_poller_remove(s.poller, fd));
        OK(carrick_stream_recv(s.stream, &byte, 1, times[i], &n));
        CHECK(n == 1);
    }
    free_subjects(&s);
}

static void values_of_options_at_the_ends_of_their_range_are_taken_or_refused(void)
{
    static struct subjects s;
    static const int64_t values[] = {INT64_MIN, -1, 2, INT64_MAX};
    make_subjects(&s);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        for (int32_t option = CARRICK_OPTION_REUSE_ADDRESS; option <= CARRICK_OPTION_BROADCAST; option++) {
            carrick_status status = carrick_listener_set_option(s.listener, option, values[i]);
            int flag = option <= CARRICK_OPTION_TCP_NODELAY || option == CARRICK_OPTION_BROADCAST;
            int size = option == CARRICK_OPTION_SEND_BUFFER || option == CARRICK_OPTION_RECV_BUFFER;
            if (flag || (size && values[i] < 0))
                CHECK(status == CARRICK_E_INVALID);
            else
                CHECK(status == CARRICK_OK || status == CARRICK_E_OS || status == CARRICK_E_INVALID);
        }
    }
    free_subjects(&s);
}

/* The options of each kind, read by a call that takes them. */
static carrick_status read_options(struct subjects *s, int kind, const void *options)
{
    carrick_server *server = NULL;
    carrick_gate *gate = NULL;
    carrick_listener *listener = NULL;
    carrick_connection *connection = NULL;
    carrick_status status;
    switch (kind) {
    case 0:
        status = carrick_gate_new(options, &gate);
        carrick_gate_free(gate);
        return status;
    case 1:
        status = carrick_connection_new(s->stream, options, &connection);
        carrick_connection_free(connection);
        return status;
    case 2:
        status = carrick_listener_bind(CARRICK_TEXT("127.0.0.1:0"), options, &listener);
        carrick_listener_free(listener);
        return status;
    case 3:
        status = carrick_stream_server_bind(CARRICK_TEXT("127.0.0.1:0"), options, stream_handler, NULL, NULL, &server);
        break;
    default:
        status = carrick_message_server_bind(CARRICK_TEXT("127.0.0.1:0"), options, message_handler, NULL, NULL,
                                             &server);
    }
    carrick_server_free(server);
    return status;
}

static void options_of_other_versions_work_where_they_can(void)
{
    static struct subjects s;
    make_subjects(&s);
    const void *all[] = {&s.auth, &s.format, &s.listen, &s.stream_server, &s.message_server};
    const size_t sizes[] = {sizeof s.auth, sizeof s.format, sizeof s.listen, sizeof s.stream_server,
                            sizeof s.message_server};
    for (int kind = 0; kind < 5; kind++) {
        /* Room for a newer version, aligned as a struct is. */
        uint64_t room[64] = {0};
        uint8_t *bytes = (uint8_t *)room;
        size_t size;
        memcpy(bytes, all[kind], sizes[kind]);
#define READ_AS(bytes_) (size = (bytes_), memcpy(bytes, &size, sizeof size), read_options(&s, kind, bytes))
        OK(READ_AS(sizes[kind]));
        OK(READ_AS(sizeof(size_t)));
        OK(READ_AS(sizes[kind] + 16));
        OK(READ_AS(sizeof room));
        bytes[sizes[kind] + 9] = 1;
        STATUS(CARRICK_E_VERSION, READ_AS(sizes[kind] + 16));
        OK(READ_AS(sizes[kind] + 8));
        STATUS(CARRICK_E_VERSION, READ_AS(0));
        STATUS(CARRICK_E_VERSION, READ_AS(sizeof(size_t) - 1));
        STATUS(CARRICK_E_VERSION, READ_AS(SIZE_MAX));
    }
    free_subjects(&s);
}

static void closing_twice_is_closing_once_and_calls_after_it_say_closed(void)
{
    static struct subjects s;
    uint8_t byte = 0;
    size_t n = 77;
    carrick_stream *stream = NULL;
    make_subjects(&s);
    for (int i = 0; i < 2; i++) {
        OK(carrick_stream_close(s.stream));
        OK(carrick_connection_close(s.connection));
        OK(carrick_listener_close(s.listener));
        OK(carrick_datagram_close(s.datagram));
    }
    STATUS(CARRICK_E_CLOSED, carrick_stream_send(s.stream, &byte, 1, FOREVER, &n));
    STATUS(CARRICK_E_CLOSED, carrick_stream_recv(s.stream, &byte, 1, FOREVER, &n));
    STATUS(CARRICK_E_CLOSED, carrick_connection_send(s.connection, &byte, 1, FOREVER));
    STATUS(CARRICK_E_CLOSED, carrick_connection_recv_into(s.connection, &byte, 1, FOREVER, &n));
    STATUS(CARRICK_E_CLOSED, carrick_listener_accept(s.listener, FOREVER, &stream));
    STATUS(CARRICK_E_CLOSED,
           carrick_datagram_send_to(s.datagram, &byte, 1, CARRICK_TEXT("127.0.0.1:9"), FOREVER));
    STATUS(CARRICK_E_CLOSED, carrick_datagram_recv_from(s.datagram, &byte, 1, FOREVER, &n, NULL, 0, NULL));
    /* Outputs are written on OK only. */
    CHECK(n == 77 && stream == NULL);
    free_subjects(&s);
}

static struct subjects *shared;

static void wait_for_myself(struct subjects *s)
{
    carrick_server *server = s->server;
    char text[300];
    STATUS(CARRICK_E_REENTRANT, carrick_server_wait(server, FOREVER));
    STATUS(CARRICK_E_REENTRANT, carrick_server_shutdown(server, FOREVER));
    carrick_server_free(server);
    text_of_last_error(text, sizeof text);
    CHECK(strstr(text, "carrick_server_request_shutdown") != NULL);
    STATUS(CARRICK_E_STATE, carrick_server_start(server));
    STATUS(CARRICK_E_STATE, carrick_server_serve(server));
    OK(carrick_server_request_shutdown(server));
}

static carrick_status wait_in_message(void *user_data, const carrick_request *request, const uint8_t *data, size_t data_len)
{
    (void)user_data, (void)request, (void)data, (void)data_len;
    wait_for_myself(shared);
    return 0;
}

static carrick_status wait_in_stream(void *user_data, const carrick_session *session)
{
    (void)user_data, (void)session;
    wait_for_myself(shared);
    return 0;
}

static carrick_status wait_in_datagram(void *user_data, const uint8_t *data, size_t data_len, const char *peer,
                                       size_t peer_len, uint8_t *reply, size_t reply_cap, size_t *reply_len)
{
    (void)user_data, (void)data, (void)data_len, (void)peer, (void)peer_len, (void)reply, (void)reply_cap;
    (void)reply_len;
    wait_for_myself(shared);
    return 0;
}

static void a_handler_that_waits_for_its_server_is_told_so(void)
{
    for (int kind = 0; kind < 3; kind++) {
        static struct subjects s;
        uint8_t byte = 0;
        char where[100];
        size_t len = 0;
        make_subjects(&s);
        shared = &s;
        carrick_server_free(s.server);
        if (kind == 0)
            OK(carrick_message_server_bind(CARRICK_TEXT("127.0.0.1:0"), NULL, wait_in_message, NULL, NULL, &s.server));
        else if (kind == 1)
            OK(carrick_stream_server_bind(CARRICK_TEXT("127.0.0.1:0"), NULL, wait_in_stream, NULL, NULL, &s.server));
        else
            OK(carrick_datagram_server_bind(CARRICK_TEXT("127.0.0.1:0"), 0, wait_in_datagram, NULL, NULL, &s.server));
        OK(carrick_server_start(s.server));
        OK(carrick_server_address(s.server, where, sizeof where, &len));
        if (kind == 2) {
            OK(carrick_datagram_send_to(s.datagram, &byte, 1, where, len, FOREVER));
        } else {
            carrick_connection_free(s.connection);
            OK(carrick_connection_connect(where, len, NULL, NULL, FOREVER, &s.connection));
            OK(carrick_connection_send(s.connection, &byte, 1, FOREVER));
        }
        OK(carrick_server_wait(s.server, FOREVER));
        free_subjects(&s);
    }
}

static void count_drop(void *user_data) { ++*(int *)user_data; }

static void drop_user_data_is_called_once_whatever_becomes_of_the_server(void)
{
    for (int kind = 0; kind < 3; kind++) {
        for (int fate = 0; fate < 4; fate++) {
            int dropped = 0;
            carrick_server *server = NULL;
            if (kind == 0)
                OK(carrick_message_server_bind(CARRICK_TEXT("127.0.0.1:0"), NULL, message_handler, &dropped,
                                               count_drop, &server));
            else if (kind == 1)
                OK(carrick_stream_server_bind(CARRICK_TEXT("127.0.0.1:0"), NULL, stream_handler, &dropped, count_drop,
                                              &server));
            else
                OK(carrick_datagram_server_bind(CARRICK_TEXT("127.0.0.1:0"), 0, datagram_handler, &dropped,
                                                count_drop, &server));
            CHECK(dropped == 0);
            if (fate == 1) /* never served, shut down */
                OK(carrick_server_shutdown(server, FOREVER));
            if (fate >= 2)
                OK(carrick_server_start(server));
            if (fate == 2) {
                OK(carrick_server_shutdown(server, FOREVER));
                CHECK(dropped == 1);
                OK(carrick_server_wait(server, FOREVER));
            }
            carrick_server_free(server); /* fate 0: never served; fate 3: cut off */
            CHECK(dropped == 1);
        }
    }
}

static void a_childs_calls_on_a_server_say_forked(void)
{
    static struct subjects s;
    int status = 1;
    make_subjects(&s);
    OK(carrick_server_start(s.server));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char where[100];
        size_t n = 0;
        uint64_t stats[1];
        alarm(30);
        STATUS(CARRICK_E_FORKED, carrick_server_serve(s.server));
        STATUS(CARRICK_E_FORKED, carrick_server_start(s.server));
        STATUS(CARRICK_E_FORKED, carrick_server_shutdown(s.server, 0));
        STATUS(CARRICK_E_FORKED, carrick_server_request_shutdown(s.server));
        STATUS(CARRICK_E_FORKED, carrick_server_abort(s.server));
        STATUS(CARRICK_E_FORKED, carrick_server_wait(s.server, FOREVER));
        STATUS(CARRICK_E_FORKED, carrick_server_address(s.server, where, sizeof where, &n));
        STATUS(CARRICK_E_FORKED, carrick_server_stats(s.server, stats, 1, &n));
        carrick_server_free(s.server);
        /* The end that says "all is well": not exit, for a leak checker would miss what the parent's threads own, which
         * are not in this process. */
        raise(SIGKILL);
    }
    while (waitpid(child, &status, 0) < 0)
        CHECK(errno == EINTR);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    /* The parent's goes on as if nothing had been. */
    STATUS(CARRICK_E_TIMEOUT, carrick_server_wait(s.server, 1));
    OK(carrick_server_shutdown(s.server, FOREVER));
    free_subjects(&s);
}

static void keep_what_is_lent(struct subjects *s)
{
    const carrick_stream *lent = NULL;
    char where[100];
    size_t n = 0;
    OK(carrick_session_stream(s->session, &lent));
    /* Freeing what is BORROWED is a mistake that does nothing. */
    carrick_stream_free((carrick_stream *)lent);
    OK(carrick_stream_peer_address(lent, where, sizeof where, &n));
}

static void freeing_a_lent_stream_does_nothing(void)
{
    static struct subjects s;
    make_subjects(&s);
    inside_session(&s, keep_what_is_lent);
    free_subjects(&s);
}

static void *fail_on_a_thread(void *argument)
{
    size_t n = 0;
    STATUS(CARRICK_E_UNKNOWN_DIGEST, carrick_digest_size(123, &n));
    return argument;
}

static void the_last_error_is_each_threads_own(void)
{
    char text[300];
    pthread_t thread;
    size_t n = 0;
    int64_t value = 0;
    STATUS(CARRICK_E_NULL, carrick_stream_get_option(NULL, 1, &value));
    CHECK(pthread_create(&thread, NULL, fail_on_a_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    text_of_last_error(text, sizeof text);
    CHECK(strstr(text, "NULL") != NULL && strstr(text, "123") == NULL);
    STATUS(CARRICK_E_BUFFER, carrick_last_error(text, 3, &n));
    CHECK(n > 3);
}

static void no_message_holds_a_byte_of_a_key(void)
{
    carrick_stream *left = NULL, *right = NULL;
    carrick_connection *connection = NULL;
    carrick_auth_options auth;
    char text[300];
    OK(carrick_auth_options_init(&auth));
    auth.key = (const uint8_t *)"SESAME-OPEN";
    auth.key_len = 11;
    OK(carrick_stream_pair(&left, &right));
    OK(carrick_connection_new(left, NULL, &connection));
    OK(carrick_stream_send_all(right, (const uint8_t *)"\0\0\0\x03" "abc", 7, FOREVER));
    STATUS(CARRICK_E_AUTH_FAILED, carrick_connection_authenticate(connection, CARRICK_ROLE_SERVER, &auth));
    text_of_last_error(text, sizeof text);
    CHECK(text[0] != '\0' && strstr(text, "SESAME") == NULL);
    carrick_connection_free(connection);
    carrick_stream_free(left);
    carrick_stream_free(right);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
#define TEST(name) {#name, name}
        TEST(numbers_out_of_range_are_refused_and_named),
        TEST(sizes_and_times_out_of_range_are_refused_or_mean_for_ever),
        TEST(values_of_options_at_the_ends_of_their_range_are_taken_or_refused),
        TEST(options_of_other_versions_work_where_they_can),
        TEST(closing_twice_is_closing_once_and_calls_after_it_say_closed),
        TEST(a_handler_that_waits_for_its_server_is_told_so),
        TEST(drop_user_data_is_called_once_whatever_becomes_of_the_server),
        TEST(a_childs_calls_on_a_server_say_forked),
        TEST(freeing_a_lent_stream_does_nothing),
        TEST(the_last_error_is_each_threads_own),
        TEST(no_message_holds_a_byte_of_a_key),
    };
    return run_tests(tests, sizeof tests / sizeof tests[0], argc, argv);
}
