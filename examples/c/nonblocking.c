/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The non-blocking model: no call waits (time 0), and one thread asks its clients over and over again. */
#include "example.h"

#include <pthread.h>

/* Serves a client that has something; 1 when it has closed. */
static int look_at(carrick_stream *client)
{
    uint8_t text[64];
    size_t len = 0;
    carrick_status status = carrick_stream_recv(client, text, sizeof text, NOW, &len);
    if (status == CARRICK_E_WOULD_BLOCK)
        return 0;
    CHECK(status);
    shout(text, len);
    CHECK(carrick_stream_send_all(client, text, len, FOREVER));
    return len == 0;
}

static void *serve(void *argument)
{
    carrick_listener *listener = argument;
    carrick_stream *clients[3] = {NULL, NULL, NULL};
    int accepted = 0, served = 0;
    while (served < 3) {
        if (accepted < 3) {
            carrick_status status = carrick_listener_accept(listener, NOW, &clients[accepted]);
            if (status != CARRICK_E_WOULD_BLOCK) {
                CHECK(status);
                accepted++;
            }
        }
        for (int i = 0; i < accepted; i++) {
            if (clients[i] != NULL && look_at(clients[i])) {
                carrick_stream_free(clients[i]);
                clients[i] = NULL;
                served++;
            }
        }
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
