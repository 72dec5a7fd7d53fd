/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Echoes frames by libuv. Prints its port, then serves until it is killed.
 *
 *   uv_server          sends back the bytes it read, as far as the frames among them are complete
 *   uv_server handler  gives each frame to a handler, which appends a reply, as a server that does something has to
 *
 * One loop; all connections read into the same memory, and keep only an unfinished frame; replies to all
 * that one read brought leave in one uv_try_write, and what that does not take in a uv_write.
 */
#include "frame.h"
#include <arpa/inet.h>
#include <sys/resource.h>
#include <uv.h>

struct connection {
    uv_tcp_t tcp;
    uint8_t *kept;
    size_t kept_length;
};

struct pending {
    uv_write_t request;
    uint8_t bytes[];
};

static uint8_t arena[64 << 10];

static void die(int code, const char *what)
{
    if (code < 0) {
        fprintf(stderr, "%s: %s\n", what, uv_strerror(code));
        exit(1);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    free(connection->kept);
    free(connection);
}

static void hang_up(struct connection *connection)
{
    if (!uv_is_closing((uv_handle_t *)&connection->tcp))
        uv_close((uv_handle_t *)&connection->tcp, on_closed);
}

static void on_written(uv_write_t *request, int status)
{
    if (status < 0)
        hang_up(request->handle->data);
    free(request->data);
}

static void reply(struct connection *connection, const uint8_t *bytes, size_t length)
{
    uv_stream_t *stream = (uv_stream_t *)&connection->tcp;
    uv_buf_t whole = uv_buf_init((char *)bytes, (unsigned)length);
    int n = uv_try_write(stream, &whole, 1);
    if (n < 0 && n != UV_EAGAIN) {
        hang_up(connection);
        return;
    }
    size_t sent = n < 0 ? 0 : (size_t)n;
    if (sent == length)
        return;
    struct pending *pending = malloc(sizeof *pending + length - sent);
    need(pending != NULL, "malloc");
    pending->request.data = pending;
    memcpy(pending->bytes, bytes + sent, length - sent);
    uv_buf_t rest = uv_buf_init((char *)pending->bytes, (unsigned)(length - sent));
    if (uv_write(&pending->request, stream, &rest, 1, on_written) < 0) {
        free(pending);
        hang_up(connection);
    }
}

/* The replies to the frames in `bytes` are those frames; returns how long they are together, or -1. */
static ssize_t complete(const uint8_t *bytes, size_t length)
{
    size_t used = 0;
    while (length - used >= HEAD) {
        size_t body = frame_length(bytes + used);
        if (body > MAX_FRAME)
            return -1;
        if (length - used - HEAD < body)
            break;
        used += HEAD + body;
    }
    return (ssize_t)used;
}

/* ---- a handler per frame ---- */

struct output {
    uint8_t *bytes;
    size_t length, room;
};

static struct output output;

static void append_frame(struct output *to, const uint8_t *body, size_t length)
{
    if (to->room - to->length < HEAD + length) {
        to->room = (to->length + HEAD + length) * 2;
        to->bytes = realloc(to->bytes, to->room);
        need(to->bytes != NULL, "realloc");
    }
    uint8_t *at = to->bytes + to->length;
    for (int i = 0; i < HEAD; i++)
        at[i] = (uint8_t)(length >> (24 - 8 * i));
    memcpy(at + HEAD, body, length);
    to->length += HEAD + length;
}

/* Volatile: a server does not know its handler when it is compiled. */
static void (*volatile handler)(struct output *to, const uint8_t *body, size_t length);

static void handle_frames(struct connection *connection, const uint8_t *bytes, size_t length)
{
    output.length = 0;
    for (size_t at = 0; at < length;) {
        size_t body = frame_length(bytes + at);
        handler(&output, bytes + at + HEAD, body);
        at += HEAD + body;
    }
    reply(connection, output.bytes, output.length);
}

static void on_memory(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)handle, (void)suggested;
    *buffer = uv_buf_init((char *)arena, sizeof arena);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct connection *connection = stream->data;
    if (n <= 0) {
        if (n < 0)
            hang_up(connection);
        return;
    }
    uint8_t *bytes = (uint8_t *)buffer->base, *joined = NULL;
    size_t length = (size_t)n;
    if (connection->kept_length > 0) {
        joined = realloc(connection->kept, connection->kept_length + length);
        need(joined != NULL, "realloc");
        memcpy(joined + connection->kept_length, bytes, length);
        bytes = joined;
        length += connection->kept_length;
        connection->kept = NULL;
        connection->kept_length = 0;
    }
    ssize_t used = complete(bytes, length);
    if (used < 0) {
        hang_up(connection);
    } else {
        size_t rest = length - (size_t)used;
        if (rest > 0) {
            connection->kept = malloc(rest);
            need(connection->kept != NULL, "malloc");
            memcpy(connection->kept, bytes + used, rest);
            connection->kept_length = rest;
        }
        if (used > 0 && handler != NULL)
            handle_frames(connection, bytes, (size_t)used);
        else if (used > 0)
            reply(connection, bytes, (size_t)used);
    }
    free(joined);
}

static void on_connection(uv_stream_t *listener, int status)
{
    die(status, "accept");
    struct connection *connection = calloc(1, sizeof *connection);
    need(connection != NULL, "calloc");
    connection->tcp.data = connection;
    uv_tcp_init(listener->loop, &connection->tcp);
    if (uv_accept(listener, (uv_stream_t *)&connection->tcp) < 0) {
        hang_up(connection);
        return;
    }
    uv_tcp_nodelay(&connection->tcp, 1);
    uv_read_start((uv_stream_t *)&connection->tcp, on_memory, on_read);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "handler") == 0)
        handler = append_frame;
    struct sockaddr_in address;
    int length = sizeof address;
    uv_tcp_t listener;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    uv_ip4_addr("127.0.0.1", 0, &address);
    die(uv_tcp_init(uv_default_loop(), &listener), "uv_tcp_init");
    die(uv_tcp_bind(&listener, (struct sockaddr *)&address, 0), "uv_tcp_bind");
    die(uv_listen((uv_stream_t *)&listener, 1024, on_connection), "uv_listen");
    die(uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &length), "uv_tcp_getsockname");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
