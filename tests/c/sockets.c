/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Streams, listeners, datagrams, the poller and HMAC. */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

static carrick_listener *listen_at(const char *address, char *where, size_t cap)
{
    carrick_listener *listener = NULL;
    size_t len = 0;
    OK(carrick_listener_bind(CARRICK_TEXT(address), NULL, &listener));
    OK(carrick_listener_local_address(listener, where, cap - 1, &len));
    where[len] = '\0';
    return listener;
}

static void round_trip(const char *address)
{
    char where[200];
    uint8_t buffer[16];
    size_t n = 0;
    carrick_stream *client = NULL, *server = NULL;
    carrick_listener *listener = listen_at(address, where, sizeof where);
    OK(carrick_stream_connect(CARRICK_TEXT(where), FOREVER, &client));
    OK(carrick_listener_accept(listener, FOREVER, &server));
    OK(carrick_stream_send_all(client, (const uint8_t *)"hello", 5, FOREVER));
    OK(carrick_stream_recv(server, buffer, sizeof buffer, FOREVER, &n));
    CHECK(n == 5 && memcmp(buffer, "hello", 5) == 0);
    OK(carrick_stream_shutdown(client, CARRICK_SHUTDOWN_WRITE));
    OK(carrick_stream_recv(server, buffer, sizeof buffer, FOREVER, &n));
    CHECK(n == 0);
    carrick_stream_free(client);
    carrick_stream_free(server);
    carrick_listener_free(listener);
}

static void bytes_cross_tcp_over_ipv4(void) { round_trip("127.0.0.1:0"); }
static void bytes_cross_tcp_over_ipv6(void) { round_trip("[::1]:0"); }

static void bytes_cross_a_unix_path_which_is_removed(void)
{
    char address[100], *path = address + 5;
    snprintf(address, sizeof address, "unix:/tmp/carrick-c-%ld", (long)getpid());
    round_trip(address);
    CHECK(access(path, F_OK) != 0);
}

static void bytes_cross_an_abstract_unix_name(void)
{
    char address[100];
    snprintf(address, sizeof address, "unix:@carrick-c-%ld", (long)getpid());
    round_trip(address);
}

static void a_port_in_use_is_named(void)
{
    char where[100], text[300];
    size_t len = 0;
    carrick_listener *first = listen_at("127.0.0.1:0", where, sizeof where), *second = NULL;
    STATUS(CARRICK_E_OS, carrick_listener_bind(CARRICK_TEXT(where), NULL, &second));
    CHECK(second == NULL);
    CHECK(carrick_last_os_error() == EADDRINUSE);
    OK(carrick_last_error(text, sizeof text - 1, &len));
    text[len] = '\0';
    CHECK(strstr(text, where) != NULL);
    carrick_listener_free(first);
}

static void bad_addresses_are_refused(void)
{
    carrick_stream *stream = NULL;
    char longer[300];
    STATUS(CARRICK_E_INVALID, carrick_stream_connect(CARRICK_TEXT("127.0.0.1:70000"), 0, &stream));
    STATUS(CARRICK_E_INVALID, carrick_stream_connect(CARRICK_TEXT("nowhere"), 0, &stream));
    memset(longer, 'x', sizeof longer);
    memcpy(longer, "unix:/", 6);
    STATUS(CARRICK_E_INVALID, carrick_stream_connect(longer, sizeof longer, 0, &stream));
    STATUS(CARRICK_E_INVALID, carrick_stream_connect("\xff\xfe:1", 4, 0, &stream));
}

static void a_deadline_ends_a_wait_and_zero_does_not_wait(void)
{
    carrick_stream *left = NULL, *right = NULL;
    uint8_t byte;
    size_t n = 0;
    OK(carrick_stream_pair(&left, &right));
    STATUS(CARRICK_E_WOULD_BLOCK, carrick_stream_recv(left, &byte, 1, 0, &n));
    STATUS(CARRICK_E_TIMEOUT, carrick_stream_recv(left, &byte, 1, SECOND / 100, &n));
    carrick_stream_free(left);
    carrick_stream_free(right);
}

struct waiting {
    carrick_stream *stream;
    carrick_listener *listener;
    carrick_datagram *datagram;
    pthread_barrier_t *ready;
    carrick_status status;
};

static void *wait_in_recv(void *argument)
{
    struct waiting *w = argument;
    uint8_t byte;
    size_t n = 0;
    pthread_barrier_wait(w->ready);
    w->status = carrick_stream_recv(w->stream, &byte, 1, FOREVER, &n);
    return NULL;
}

static void *wait_in_accept(void *argument)
{
    struct waiting *w = argument;
    carrick_stream *stream = NULL;
    pthread_barrier_wait(w->ready);
    w->status = carrick_listener_accept(w->listener, FOREVER, &stream);
    return NULL;
}

static void *wait_in_recv_from(void *argument)
{
    struct waiting *w = argument;
    uint8_t byte;
    size_t n = 0;
    pthread_barrier_wait(w->ready);
    w->status = carrick_datagram_recv_from(w->datagram, &byte, 1, FOREVER, &n, NULL, 0, NULL);
    return NULL;
}

static void close_wakes_receive_accept_and_datagram(void)
{
    char where[100];
    pthread_t threads[4];
    pthread_barrier_t ready;
    struct waiting w[4];
    carrick_stream *left = NULL, *right = NULL, *client = NULL, *server = NULL;
    carrick_datagram *datagram = NULL;
    carrick_listener *listener = listen_at("127.0.0.1:0", where, sizeof where);
    OK(carrick_stream_pair(&left, &right));
    OK(carrick_stream_connect(CARRICK_TEXT(where), FOREVER, &client));
    OK(carrick_listener_accept(listener, FOREVER, &server));
    OK(carrick_datagram_bind(CARRICK_TEXT("127.0.0.1:0"), &datagram));
    pthread_barrier_init(&ready, NULL, 5);
    for (int i = 0; i < 4; i++)
        w[i] = (struct waiting){i == 0 ? left : client, listener, datagram, &ready, 1};
    pthread_create(&threads[0], NULL, wait_in_recv, &w[0]);
    pthread_create(&threads[1], NULL, wait_in_recv, &w[1]);
    pthread_create(&threads[2], NULL, wait_in_accept, &w[2]);
    pthread_create(&threads[3], NULL, wait_in_recv_from, &w[3]);
    pthread_barrier_wait(&ready);
    OK(carrick_stream_close(left));
    OK(carrick_stream_close(client));
    OK(carrick_listener_close(listener));
    OK(carrick_datagram_close(datagram));
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        CHECK(w[i].status == CARRICK_E_CLOSED);
    }
    OK(carrick_stream_close(left));
    pthread_barrier_destroy(&ready);
    carrick_stream_free(left);
    carrick_stream_free(right);
    carrick_stream_free(client);
    carrick_stream_free(server);
    carrick_listener_free(listener);
    carrick_datagram_free(datagram);
}

static void sending_to_a_closed_peer_is_epipe_and_no_signal(void)
{
    int ends[2];
    carrick_stream *pipe_end = NULL, *left = NULL, *right = NULL;
    size_t n = 0;
    OK(carrick_stream_pair(&left, &right));
    carrick_stream_free(right);
    STATUS(CARRICK_E_OS, carrick_stream_send(left, (const uint8_t *)"x", 1, FOREVER, &n));
    CHECK(carrick_last_os_error() == EPIPE);
    carrick_stream_free(left);
    CHECK(pipe(ends) == 0);
    close(ends[0]);
    OK(carrick_stream_from_fd(ends[1], &pipe_end));
    STATUS(CARRICK_E_OS, carrick_stream_send(pipe_end, (const uint8_t *)"x", 1, FOREVER, &n));
    CHECK(carrick_last_os_error() == EPIPE);
    carrick_stream_free(pipe_end);
}

static void calls_after_close_say_closed(void)
{
    carrick_stream *left = NULL, *right = NULL;
    size_t n = 0;
    int fd = -1;
    OK(carrick_stream_pair(&left, &right));
    OK(carrick_stream_close(left));
    STATUS(CARRICK_E_CLOSED, carrick_stream_send(left, (const uint8_t *)"x", 1, FOREVER, &n));
    STATUS(CARRICK_E_CLOSED, carrick_stream_fd(left, &fd));
    CHECK(fd == -1);
    carrick_stream_free(left);
    carrick_stream_free(right);
}

static void a_descriptor_that_is_not_taken_stays_open(void)
{
    carrick_listener *listener = NULL;
    int ends[2];
    CHECK(pipe(ends) == 0);
    STATUS(CARRICK_E_OS, carrick_listener_from_fd(ends[0], &listener));
    CHECK(carrick_last_os_error() == ENOTSOCK);
    CHECK(close(ends[0]) == 0);
    CHECK(close(ends[1]) == 0);
    STATUS(CARRICK_E_OS, carrick_listener_from_fd(ends[0], &listener));
    CHECK(carrick_last_os_error() == EBADF);
    STATUS(CARRICK_E_INVALID, carrick_listener_from_fd(-1, &listener));
}

static void datagrams_keep_their_boundaries(void)
{
    char where[100], from[100];
    uint8_t buffer[16];
    static uint8_t large[65508];
    size_t n = 9, len = 0;
    carrick_datagram *server = NULL, *client = NULL;
    OK(carrick_datagram_bind(CARRICK_TEXT("127.0.0.1:0"), &server));
    OK(carrick_datagram_local_address(server, where, sizeof where - 1, &len));
    where[len] = '\0';
    OK(carrick_datagram_unbound(CARRICK_TEXT(where), &client));
    OK(carrick_datagram_send_to(client, (const uint8_t *)"one", 3, CARRICK_TEXT(where), FOREVER));
    OK(carrick_datagram_send_to(client, NULL, 0, CARRICK_TEXT(where), FOREVER));
    OK(carrick_datagram_send_to(client, large, 100, CARRICK_TEXT(where), FOREVER));
    OK(carrick_datagram_recv_from(server, buffer, sizeof buffer, FOREVER, &n, from, sizeof from, &len));
    CHECK(n == 3 && memcmp(buffer, "one", 3) == 0 && strncmp(from, "127.0.0.1:", 10) == 0);
    OK(carrick_datagram_recv_from(server, buffer, sizeof buffer, FOREVER, &n, NULL, 0, NULL));
    CHECK(n == 0);
    STATUS(CARRICK_E_BUFFER, carrick_datagram_recv_from(server, buffer, sizeof buffer, FOREVER, &n, NULL, 0, NULL));
    CHECK(n == 100);
    STATUS(CARRICK_E_OS, carrick_datagram_send_to(client, large, sizeof large, CARRICK_TEXT(where), FOREVER));
    CHECK(carrick_last_os_error() == EMSGSIZE);
    carrick_datagram_free(server);
    carrick_datagram_free(client);
}

static void options_are_set_and_read(void)
{
    carrick_stream *left = NULL, *right = NULL;
    char where[100];
    int64_t value = 0;
    carrick_listener *listener = listen_at("127.0.0.1:0", where, sizeof where);
    OK(carrick_stream_connect(CARRICK_TEXT(where), FOREVER, &left));
    OK(carrick_listener_accept(listener, FOREVER, &right));
    OK(carrick_stream_get_option(right, CARRICK_OPTION_TCP_NODELAY, &value));
    CHECK(value == 1);
    OK(carrick_stream_set_option(left, CARRICK_OPTION_LINGER, 3 * SECOND));
    OK(carrick_stream_get_option(left, CARRICK_OPTION_LINGER, &value));
    CHECK(value == 3 * SECOND);
    OK(carrick_stream_set_option(left, CARRICK_OPTION_KEEP_ALIVE, 60 * SECOND));
    OK(carrick_stream_get_option(left, CARRICK_OPTION_KEEP_ALIVE, &value));
    CHECK(value == 1);
    OK(carrick_stream_set_option(left, CARRICK_OPTION_SEND_BUFFER, 65536));
    OK(carrick_stream_get_option(left, CARRICK_OPTION_SEND_BUFFER, &value));
    CHECK(value >= 65536);
    STATUS(CARRICK_E_INVALID, carrick_stream_set_option(left, 99, 1));
    STATUS(CARRICK_E_INVALID, carrick_stream_set_option(left, CARRICK_OPTION_TCP_NODELAY, 2));
    STATUS(CARRICK_E_INVALID, carrick_stream_set_option(left, CARRICK_OPTION_SEND_BUFFER, -1));
    carrick_stream_free(left);
    carrick_stream_free(right);
    carrick_listener_free(listener);
}

static void the_poller_reports_what_is_ready(void)
{
    carrick_poller *poller = NULL;
    carrick_stream *left = NULL, *right = NULL;
    carrick_ready ready[4];
    size_t count = 9;
    int fd = -1;
    OK(carrick_poller_new(&poller));
    OK(carrick_stream_pair(&left, &right));
    OK(carrick_stream_fd(left, &fd));
    OK(carrick_poller_add(poller, fd, 42, CARRICK_READABLE));
    OK(carrick_poller_wait(poller, ready, 4, 0, &count));
    CHECK(count == 0);
    OK(carrick_stream_send_all(right, (const uint8_t *)"x", 1, FOREVER));
    OK(carrick_poller_wait(poller, ready, 4, FOREVER, &count));
    CHECK(count == 1 && ready[0].token == 42 && (ready[0].readiness & CARRICK_READABLE));
    OK(carrick_poller_modify(poller, fd, CARRICK_WRITABLE));
    OK(carrick_poller_wait(poller, ready, 4, FOREVER, &count));
    CHECK(count == 1 && (ready[0].readiness & CARRICK_WRITABLE));
    OK(carrick_poller_remove(poller, fd));
    STATUS(CARRICK_E_OS, carrick_poller_remove(poller, fd));
    OK(carrick_poller_wake(poller));
    OK(carrick_poller_wait(poller, ready, 4, FOREVER, &count));
    CHECK(count == 0);
    STATUS(CARRICK_E_INVALID, carrick_poller_add(poller, fd, UINT64_MAX, CARRICK_READABLE));
    STATUS(CARRICK_E_INVALID, carrick_poller_add(poller, fd, 1, 8));
    STATUS(CARRICK_E_INVALID, carrick_poller_wait(poller, ready, 0, 0, &count));
    carrick_poller_free(poller);
    carrick_stream_free(left);
    carrick_stream_free(right);
}

static size_t unhex(const char *text, uint8_t *out)
{
    size_t n = 0;
    unsigned byte;
    if (strcmp(text, "-") == 0)
        return 0;
    for (; text[0] && sscanf(text, "%2x", &byte) == 1; text += 2)
        out[n++] = (uint8_t)byte;
    return n;
}

static void hmac_agrees_with_the_shared_vectors(void)
{
    const char *folder = getenv("CARRICK_VECTORS");
    static char path[500], line[20000], name[200], algorithm[40], key_hex[6000], message_hex[6000], tag_hex[300];
    static uint8_t key[3000], message[3000], tag[200], got[CARRICK_DIGEST_MAX];
    int checked = 0;
    CHECK(folder != NULL);
    snprintf(path, sizeof path, "%s/macs.txt", folder);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "mac %199s %39s %5999s %5999s %299s", name, algorithm, key_hex, message_hex, tag_hex) != 5)
            continue;
        int32_t digest = 0, equal = 0;
        size_t got_len = 0, size = 0, key_len = unhex(key_hex, key), message_len = unhex(message_hex, message);
        size_t tag_len = unhex(tag_hex, tag);
        OK(carrick_digest_from_name(CARRICK_TEXT(algorithm), &digest));
        OK(carrick_digest_size(digest, &size));
        OK(carrick_hmac(digest, key, key_len, message, message_len, got, sizeof got, &got_len));
        CHECK(got_len == size);
        OK(carrick_compare_digest(got, got_len, tag, tag_len, &equal));
        CHECK(equal == 1);
        carrick_mac *mac = NULL, *copy = NULL;
        OK(carrick_mac_new(digest, key, key_len, &mac));
        OK(carrick_mac_update(mac, message, message_len / 2));
        OK(carrick_mac_copy(mac, &copy));
        OK(carrick_mac_update(copy, message + message_len / 2, message_len - message_len / 2));
        OK(carrick_mac_finish(copy, got, sizeof got, &got_len));
        CHECK(got_len == tag_len && memcmp(got, tag, tag_len) == 0);
        STATUS(CARRICK_E_BUFFER, carrick_mac_finish(copy, got, 3, &got_len));
        CHECK(got_len == size);
        carrick_mac_free(mac);
        carrick_mac_free(copy);
        checked++;
    }
    fclose(file);
    CHECK(checked > 50);
}

static void unknown_digests_are_refused(void)
{
    int32_t digest = 0;
    size_t n = 0;
    uint8_t out[64];
    STATUS(CARRICK_E_UNKNOWN_DIGEST, carrick_digest_from_name(CARRICK_TEXT("sha257"), &digest));
    STATUS(CARRICK_E_UNKNOWN_DIGEST, carrick_hmac(0, NULL, 0, NULL, 0, out, sizeof out, &n));
    STATUS(CARRICK_E_UNKNOWN_DIGEST, carrick_hmac(8, NULL, 0, NULL, 0, out, sizeof out, &n));
}

static void every_status_has_a_name_and_a_text(void)
{
    for (int status = -100; status <= 5; status++) {
        CHECK(strncmp(carrick_status_name(status), "CARRICK_", 8) == 0);
        CHECK(carrick_status_text(status)[0] != '\0');
    }
    CHECK(strcmp(carrick_status_name(CARRICK_E_FRAME_TOO_LARGE), "CARRICK_E_FRAME_TOO_LARGE") == 0);
    CHECK(carrick_abi_version() == 0);
}

static void a_handle_of_another_type_is_refused(void)
{
    carrick_poller *poller = NULL;
    size_t n = 0;
    OK(carrick_poller_new(&poller));
    STATUS(CARRICK_E_INVALID, carrick_stream_send((const carrick_stream *)(const void *)poller, NULL, 0, 0, &n));
    carrick_poller_free(poller);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
#define TEST(name) {#name, name}
        TEST(bytes_cross_tcp_over_ipv4),
        TEST(bytes_cross_tcp_over_ipv6),
        TEST(bytes_cross_a_unix_path_which_is_removed),
        TEST(bytes_cross_an_abstract_unix_name),
        TEST(a_port_in_use_is_named),
        TEST(bad_addresses_are_refused),
        TEST(a_deadline_ends_a_wait_and_zero_does_not_wait),
        TEST(close_wakes_receive_accept_and_datagram),
        TEST(sending_to_a_closed_peer_is_epipe_and_no_signal),
        TEST(calls_after_close_say_closed),
        TEST(a_descriptor_that_is_not_taken_stays_open),
        TEST(datagrams_keep_their_boundaries),
        TEST(options_are_set_and_read),
        TEST(the_poller_reports_what_is_ready),
        TEST(hmac_agrees_with_the_shared_vectors),
        TEST(unknown_digests_are_refused),
        TEST(every_status_has_a_name_and_a_text),
        TEST(a_handle_of_another_type_is_refused),
    };
    return run_tests(tests, sizeof tests / sizeof tests[0], argc, argv);
}
