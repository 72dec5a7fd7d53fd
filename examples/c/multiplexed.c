/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The multiplexed model: one thread waits for whichever of many sockets is ready, with a poller. */
#include "example.h"

#include <pthread.h>

enum { CLIENTS = 3, LISTENER = CLIENTS }; /* tokens: a client's place, or the listener */

static void watch(carrick_poller *poller, int32_t fd, uint64_t token)
{
    CHECK(carrick_poller_add(poller, fd, token, CARRICK_READABLE));
}

static void *serve(void *argument)
{
    carrick_listener *listener = argument;
    carrick_poller *poller = NULL;
    carrick_stream *clients[CLIENTS];
    int32_t fd = -1;
    int accepted = 0, served = 0;
    CHECK(carrick_poller_new(&poller));
    CHECK(carrick_listener_fd(listener, &fd));
    watch(poller, fd, LISTENER);
    while (served < CLIENTS) {
        carrick_ready ready[8];
        size_t count = 0;
        CHECK(carrick_poller_wait(poller, ready, 8, FOREVER, &count));
        for (size_t i = 0; i < count; i++) {
            if (ready[i].token == LISTENER) {
                CHECK(carrick_listener_accept(listener, FOREVER, &clients[accepted]));
                CHECK(carrick_stream_fd(clients[accepted], &fd));
                watch(poller, fd, (uint64_t)accepted++);
            } else {
                carrick_stream *client = clients[ready[i].token];
                uint8_t text[64];
                size_t len = 0;
                CHECK(carrick_stream_recv(client, text, sizeof text, FOREVER, &len));
                if (len > 0) {
                    shout(text, len);
                    CHECK(carrick_stream_send_all(client, text, len, FOREVER));
                } else { /* the client has closed: stop watching before the descriptor goes */
                    CHECK(carrick_stream_fd(client, &fd));
                    CHECK(carrick_poller_remove(poller, fd));
                    carrick_stream_free(client);
                    served++;
                }
            }
        }
    }
    carrick_poller_free(poller);
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
