/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Is the client one of ours? The course's check: 32 random bytes there, their digest under the key back. */
#include "example.h"

#include <pthread.h>

static void set_key(carrick_auth_options *auth, const char *key)
{
    CHECK(carrick_auth_options_init(auth));
    auth->key = (const uint8_t *)key;
    auth->key_len = strlen(key);
    auth->scheme = CARRICK_SCHEME_COURSE;
}

static void *serve(void *argument)
{
    carrick_listener *listener = argument;
    carrick_auth_options auth;
    set_key(&auth, "bowline");
    for (int turn = 0; turn < 2; turn++) {
        carrick_stream *stream = NULL;
        carrick_connection *client = NULL;
        carrick_status status;
        CHECK(carrick_listener_accept(listener, FOREVER, &stream));
        CHECK(carrick_connection_new(stream, NULL, &client));
        status = carrick_connection_authenticate(client, CARRICK_ROLE_SERVER, &auth);
        if (status == CARRICK_E_AUTH_FAILED) {
            printf("server: not a client of ours\n");
        } else {
            uint8_t text[64];
            size_t len = 0;
            CHECK(status);
            printf("server: a client of ours\n");
            CHECK(carrick_connection_recv_into(client, text, sizeof text, FOREVER, &len));
            shout(text, len);
            CHECK(carrick_connection_send(client, text, len, FOREVER));
        }
        carrick_connection_free(client);
        carrick_stream_free(stream);
    }
    return NULL;
}

static void ask(const char *address, size_t address_len, const char *key)
{
    carrick_connection *server = NULL;
    carrick_auth_options auth;
    uint8_t text[64];
    size_t len = 0;
    carrick_status status;
    set_key(&auth, key);
    CHECK(carrick_connection_connect(address, address_len, NULL, &auth, FOREVER, &server));
    /* The scheme is one-sided: a client that was refused learns it when it uses the connection. */
    status = carrick_connection_send(server, (const uint8_t *)"starboard", 9, FOREVER);
    if (status == CARRICK_OK)
        status = carrick_connection_recv_into(server, text, sizeof text, FOREVER, &len);
    if (status == CARRICK_OK)
        printf("client: %.*s\n", (int)len, (const char *)text);
    else
        printf("client: no answer\n");
    carrick_connection_free(server);
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
    ask(address, len, "granny");
    ask(address, len, "bowline");
    pthread_join(server, NULL);
    carrick_listener_free(listener);
    return 0;
}
