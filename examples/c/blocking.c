/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The blocking model, a TCP echo: each call waits, and the server serves one client after the other. */
#include "example.h"

#include <pthread.h>

static void *serve(void *argument)
{
    carrick_listener *listener = argument;
    int served = 0;
    for (; served < 3; served++) {
        carrick_stream *client = NULL;
        CHECK(carrick_listener_accept(listener, FOREVER, &client));
        for (;;) {
            uint8_t text[64];
            size_t len = 0;
            CHECK(carrick_stream_recv(client, text, sizeof text, FOREVER, &len));
            if (len == 0) /* the client has closed */
                break;
            shout(text, len);
            CHECK(carrick_stream_send_all(client, text, len, FOREVER));
        }
        carrick_stream_free(client);
    }
    printf("server: %d clients served\n", served);
    return NULL;
}

int main(void)
{
    carrick_listener *listener = NULL;
    char address[128];
    size_t len = 0;
    pthread_t server;
    CHECK(carrick_listener_bind(ANY_PORT, NULL, &listener));
    CHECK(carrick_listener_local_address(listener, address, sizeof address, &len));
    if (pthread_create(&server, NULL, serve, listener) != 0)
        return 1;
    three_clients(address, len);
    pthread_join(server, NULL);
    carrick_listener_free(listener);
    return 0;
}
