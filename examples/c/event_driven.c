/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The event-driven model: the server calls the handler whenever a message has arrived, from any of its clients. */
#include "example.h"

static carrick_status answer(void *user_data, const carrick_request *request, const uint8_t *body, size_t len)
{
    uint8_t reply[64];
    (void)user_data;
    if (len > sizeof reply)
        return CARRICK_E_INVALID; /* ends this connection; the others go on */
    memcpy(reply, body, len);
    shout(reply, len);
    return carrick_request_reply(request, reply, len);
}

int main(void)
{
    static const char *const names[] = {"anchor", "bow", "capstan"};
    carrick_connection *clients[3];
    carrick_server *server = NULL;
    uint64_t stats[CARRICK_STATS_COUNT];
    char address[128];
    size_t len = 0, count = 0;
    CHECK(carrick_message_server_bind(ANY_PORT, NULL, answer, NULL, NULL, &server));
    CHECK(carrick_server_address(server, address, sizeof address, &len));
    CHECK(carrick_server_start(server));
    for (int i = 0; i < 3; i++)
        CHECK(carrick_connection_connect(address, len, NULL, NULL, FOREVER, &clients[i]));
    for (int i = 0; i < 3; i++) {
        uint8_t reply[64];
        size_t reply_len = 0;
        CHECK(carrick_connection_send(clients[i], (const uint8_t *)names[i], strlen(names[i]), FOREVER));
        CHECK(carrick_connection_recv_into(clients[i], reply, sizeof reply, FOREVER, &reply_len));
        printf("%s: %.*s\n", names[i], (int)reply_len, (const char *)reply);
        carrick_connection_free(clients[i]);
    }
    CHECK(carrick_server_shutdown(server, FOREVER));
    CHECK(carrick_server_stats(server, stats, CARRICK_STATS_COUNT, &count));
    printf("server: %d clients served\n", (int)stats[0]);
    carrick_server_free(server);
    return 0;
}
