/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A server with a blocking handler for each connection, on up to four threads. The client that came last speaks
 * first: nobody waits for anybody else. */
#include "example.h"

static carrick_status converse(void *user_data, const carrick_session *session)
{
    const carrick_stream *stream = NULL;
    carrick_status status = carrick_session_stream(session, &stream);
    (void)user_data;
    while (status == CARRICK_OK) {
        uint8_t text[64];
        size_t len = 0;
        status = carrick_stream_recv(stream, text, sizeof text, FOREVER, &len);
        if (status == CARRICK_OK && len == 0)
            return CARRICK_OK; /* the client has closed */
        if (status == CARRICK_OK) {
            shout(text, len);
            status = carrick_stream_send_all(stream, text, len, FOREVER);
        }
    }
    return status;
}

int main(void)
{
    static const char *const names[] = {"first", "second", "third"};
    carrick_stream_server_options options;
    carrick_server *server = NULL;
    carrick_stream *clients[3];
    uint64_t stats[CARRICK_STATS_COUNT];
    char address[128];
    size_t len = 0, count = 0;
    CHECK(carrick_stream_server_options_init(&options));
    options.mode = CARRICK_MODE_THREADS;
    options.max_handlers = 4;
    CHECK(carrick_stream_server_bind(ANY_PORT, &options, converse, NULL, NULL, &server));
    CHECK(carrick_server_address(server, address, sizeof address, &len));
    CHECK(carrick_server_start(server));
    for (int i = 0; i < 3; i++)
        CHECK(carrick_stream_connect(address, len, FOREVER, &clients[i]));
    for (int i = 2; i >= 0; i--) {
        uint8_t reply[64];
        size_t reply_len = 0;
        CHECK(carrick_stream_send_all(clients[i], (const uint8_t *)names[i], strlen(names[i]), FOREVER));
        CHECK(carrick_stream_recv(clients[i], reply, sizeof reply, FOREVER, &reply_len));
        printf("%s: %.*s\n", names[i], (int)reply_len, (const char *)reply);
    }
    for (int i = 0; i < 3; i++)
        carrick_stream_free(clients[i]);
    CHECK(carrick_server_shutdown(server, FOREVER));
    CHECK(carrick_server_stats(server, stats, CARRICK_STATS_COUNT, &count));
    printf("server: %d connections\n", (int)stats[0]);
    carrick_server_free(server);
    return 0;
}
