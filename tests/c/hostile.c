/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Bad peers of a message server of the C face: each is cut off, counted, and everyone else is served. */
#define _GNU_SOURCE
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS, ACTIVE, REJECTED, REQUESTS, RECEIVED, SENT, FAILURES, AUTH_FAILURES, LIMIT_FAILURES, ACCEPT_FAILURES };

struct scene {
    carrick_auth_options auth;
    carrick_format format;
    carrick_message_server_options options;
    carrick_server *server;
    char where[100];
};

static carrick_status handle(void *user_data, const carrick_request *request, const uint8_t *data, size_t len)
{
    (void)user_data;
    if (len == 4 && memcmp(data, "fail", 4) == 0)
        return CARRICK_E_HANDLER;
    return carrick_request_reply(request, data, len);
}

static void init(struct scene *s)
{
    memset(s, 0, sizeof *s);
    OK(carrick_auth_options_init(&s->auth));
    OK(carrick_format_init(&s->format));
    OK(carrick_message_server_options_init(&s->options));
    s->auth.key = (const uint8_t *)"secret";
    s->auth.key_len = 6;
    s->options.format = &s->format;
}

static void start(struct scene *s)
{
    size_t len = 0;
    OK(carrick_message_server_bind(CARRICK_TEXT("127.0.0.1:0"), &s->options, handle, NULL, NULL, &s->server));
    OK(carrick_server_start(s->server));
    OK(carrick_server_address(s->server, s->where, sizeof s->where - 1, &len));
    s->where[len] = '\0';
}

/* The counter, when serving has ended. Somebody good is served before that. */
static uint64_t finish(struct scene *s, int counter)
{
    uint64_t stats[CARRICK_STATS_COUNT];
    size_t count = 0, n = 0;
    uint8_t answer[8];
    carrick_connection *good = NULL;
    OK(carrick_connection_connect(CARRICK_TEXT(s->where), &s->format, s->options.auth, FOREVER, &good));
    OK(carrick_connection_send(good, (const uint8_t *)"knot", 4, FOREVER));
    OK(carrick_connection_recv_into(good, answer, sizeof answer, FOREVER, &n));
    CHECK(n == 4 && memcmp(answer, "knot", 4) == 0);
    carrick_connection_free(good);
    OK(carrick_server_shutdown(s->server, FOREVER));
    OK(carrick_server_stats(s->server, stats, CARRICK_STATS_COUNT, &count));
    carrick_server_free(s->server);
    CHECK(counter < (int)count);
    return stats[counter];
}

static carrick_stream *dial(struct scene *s)
{
    carrick_stream *stream = NULL;
    OK(carrick_stream_connect(CARRICK_TEXT(s->where), FOREVER, &stream));
    return stream;
}

/* Reads until the server has ended the connection. */
static void expect_cut(carrick_stream *stream)
{
    uint8_t bytes[256];
    size_t n = 1;
    while (n > 0) {
        carrick_status status = carrick_stream_recv(stream, bytes, sizeof bytes, FOREVER, &n);
        if (status == CARRICK_E_OS && carrick_last_os_error() == ECONNRESET)
            break;
        CHECK(status == CARRICK_OK);
    }
    carrick_stream_free(stream);
}

static void attack(struct scene *s, const void *bytes, size_t len)
{
    carrick_stream *bad = dial(s);
    if (len > 0)
        OK(carrick_stream_send_all(bad, bytes, len, FOREVER));
    expect_cut(bad);
}

static void a_frame_over_the_cap_is_cut_off_by_its_header(void)
{
    struct scene s;
    init(&s);
    s.format.cap = 1000;
    start(&s);
    attack(&s, "\0\0\x03\xe9", 4);
    attack(&s, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
    attack(&s, "\xff\xff\xff\xfe", 4);
    CHECK(finish(&s, LIMIT_FAILURES) >= 2);
}

static void a_slow_header_and_a_slow_body_are_cut_off_in_time(void)
{
    struct scene s;
    init(&s);
    s.options.request_timeout_ns = SECOND / 50;
    start(&s);
    attack(&s, "\0", 1);
    attack(&s, "\0\0\0\x09" "abc", 7);
    CHECK(finish(&s, LIMIT_FAILURES) == 2);
}

static void a_silent_client_is_cut_off_by_the_idle_limit(void)
{
    struct scene s;
    init(&s);
    s.options.idle_timeout_ns = SECOND / 5;
    start(&s);
    attack(&s, NULL, 0);
    (void)finish(&s, CONNECTIONS);
}

static void a_handshake_that_is_silent_slow_or_garbage_is_cut_off(void)
{
    struct scene s;
    init(&s);
    s.auth.handshake_timeout_ns = SECOND / 2;
    s.options.auth = &s.auth;
    start(&s);
    attack(&s, NULL, 0);
    attack(&s, "\0\0", 2);
    attack(&s, "\0\0\0\x05" "hello", 9);
    attack(&s, "\0\0\x01\x01", 4);
    CHECK(finish(&s, AUTH_FAILURES) == 4);
}

static void a_servers_own_challenge_sent_back_does_not_authenticate(void)
{
    struct scene s;
    uint8_t challenge[300];
    size_t n = 0;
    init(&s);
    s.options.auth = &s.auth;
    start(&s);
    carrick_stream *bad = dial(&s);
    OK(carrick_stream_recv(bad, challenge, sizeof challenge, FOREVER, &n));
    OK(carrick_stream_send_all(bad, challenge, n, FOREVER));
    expect_cut(bad);
    CHECK(finish(&s, AUTH_FAILURES) == 1);
}

static void a_digest_below_the_policy_is_refused_on_both_sides(void)
{
    struct scene s;
    carrick_auth_options weak;
    carrick_connection *client = NULL;
    init(&s);
    s.auth.min_digest = CARRICK_DIGEST_SHA384;
    s.auth.digest = CARRICK_DIGEST_SHA384;
    s.options.auth = &s.auth;
    start(&s);
    /* This client asks for sha256, which the server must not use. */
    weak = s.auth;
    weak.min_digest = CARRICK_DIGEST_MD5;
    weak.digest = CARRICK_DIGEST_SHA256;
    STATUS(CARRICK_E_AUTH_FAILED,
           carrick_connection_connect(CARRICK_TEXT(s.where), NULL, &weak, FOREVER, &client));
    CHECK(client == NULL && finish(&s, AUTH_FAILURES) == 1);
}

static void a_handler_that_fails_ends_its_own_connection(void)
{
    struct scene s;
    init(&s);
    start(&s);
    attack(&s, "\0\0\0\x04" "fail", 8);
    CHECK(finish(&s, FAILURES) == 1);
}

static void a_client_that_never_reads_holds_up_nobody(void)
{
    struct scene s;
    static uint8_t body[1 << 16];
    init(&s);
    s.options.max_unsent = 1 << 16;
    start(&s);
    carrick_stream *bad = dial(&s);
    carrick_connection *deaf = NULL;
    OK(carrick_connection_new(bad, &s.format, &deaf));
    /* Until its replies fill what the server keeps for it: then the server reads no more of its requests. */
    carrick_status status = CARRICK_OK;
    while (status == CARRICK_OK)
        status = carrick_connection_send(deaf, body, sizeof body, SECOND / 5);
    CHECK(status == CARRICK_E_TIMEOUT || status == CARRICK_E_OS);
    carrick_connection *good = NULL;
    size_t n = 0;
    OK(carrick_connection_connect(CARRICK_TEXT(s.where), &s.format, NULL, FOREVER, &good));
    OK(carrick_connection_send(good, (const uint8_t *)"x", 1, FOREVER));
    OK(carrick_connection_recv_into(good, body, sizeof body, FOREVER, &n));
    CHECK(n == 1);
    carrick_connection_free(good);
    carrick_connection_free(deaf);
    carrick_stream_free(bad);
    (void)finish(&s, CONNECTIONS);
}

static void a_connection_over_the_limit_is_rejected_when_the_policy_says_so(void)
{
    struct scene s;
    uint8_t byte;
    size_t n = 0;
    carrick_connection *first = NULL;
    init(&s);
    s.options.max_connections = 1;
    s.options.overload = CARRICK_OVERLOAD_REJECT;
    start(&s);
    OK(carrick_connection_connect(CARRICK_TEXT(s.where), &s.format, NULL, FOREVER, &first));
    OK(carrick_connection_send(first, (const uint8_t *)"x", 1, FOREVER));
    OK(carrick_connection_recv_into(first, &byte, 1, FOREVER, &n));
    attack(&s, NULL, 0);
    /* The server has let go of the first one when it ends that connection. */
    OK(carrick_connection_send(first, (const uint8_t *)"fail", 4, FOREVER));
    CHECK(carrick_connection_recv_into(first, &byte, 1, FOREVER, &n) != CARRICK_OK);
    carrick_connection_free(first);
    CHECK(finish(&s, REJECTED) >= 1);
}

static void without_descriptors_accept_rests_and_goes_on(void)
{
    /* So many are open all the time; and poll wants no more descriptors at once than may be open. */
    enum { FEW = 5 };
    struct scene s;
    struct rlimit few, enough;
    uint64_t stats[CARRICK_STATS_COUNT] = {0};
    size_t count = 0, n = 0;
    uint8_t byte;
    if (getenv("CARRICK_UNDER_VALGRIND") != NULL) {
        /* It lets accept happen, then closes the descriptor and says EMFILE: the connection is lost. */
        printf("# left out: valgrind keeps the limit of descriptors in its own way\n");
        return;
    }
    init(&s);
    start(&s);
    carrick_stream *waiting = NULL;
    carrick_connection *framed = NULL, *first = NULL;
    /* A first client shows that the server has all that it needs; for another there is no descriptor. */
    OK(carrick_connection_connect(CARRICK_TEXT(s.where), &s.format, NULL, FOREVER, &first));
    OK(carrick_connection_send(first, (const uint8_t *)"x", 1, FOREVER));
    OK(carrick_connection_recv_into(first, &byte, 1, FOREVER, &n));
    /* A socket of the system's: a wait of the library's may take a descriptor of its own. */
    int client = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {0};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)atoi(strrchr(s.where, ':') + 1));
    CHECK(client > FEW && getrlimit(RLIMIT_NOFILE, &enough) == 0);
    few = enough;
    few.rlim_cur = FEW;
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    CHECK(connect(client, (struct sockaddr *)&address, sizeof address) == 0);
    while (stats[ACCEPT_FAILURES] == 0)
        OK(carrick_server_stats(s.server, stats, CARRICK_STATS_COUNT, &count));
    CHECK(setrlimit(RLIMIT_NOFILE, &enough) == 0);
    OK(carrick_stream_from_fd(client, &waiting));
    OK(carrick_connection_new(waiting, &s.format, &framed));
    OK(carrick_connection_send(framed, (const uint8_t *)"x", 1, FOREVER));
    OK(carrick_connection_recv_into(framed, &byte, 1, FOREVER, &n));
    CHECK(n == 1);
    carrick_connection_free(first);
    carrick_connection_free(framed);
    carrick_stream_free(waiting);
    CHECK(finish(&s, ACCEPT_FAILURES) >= 1);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
#define TEST(name) {#name, name}
        TEST(a_frame_over_the_cap_is_cut_off_by_its_header),
        TEST(a_slow_header_and_a_slow_body_are_cut_off_in_time),
        TEST(a_silent_client_is_cut_off_by_the_idle_limit),
        TEST(a_handshake_that_is_silent_slow_or_garbage_is_cut_off),
        TEST(a_servers_own_challenge_sent_back_does_not_authenticate),
        TEST(a_digest_below_the_policy_is_refused_on_both_sides),
        TEST(a_handler_that_fails_ends_its_own_connection),
        TEST(a_client_that_never_reads_holds_up_nobody),
        TEST(a_connection_over_the_limit_is_rejected_when_the_policy_says_so),
        TEST(without_descriptors_accept_rests_and_goes_on),
    };
    return run_tests(tests, sizeof tests / sizeof tests[0], argc, argv);
}
