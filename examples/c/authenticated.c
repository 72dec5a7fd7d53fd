/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A server that asks for a key the way Python's multiprocessing.connection does, so that Listener's clients in
 * Python, C and Rust can all talk to it. */
#include "example.h"

enum { REQUESTS = 3, REFUSED = 7 }; /* places in carrick_server_stats */

static carrick_status answer(void *user_data, const carrick_request *request, const uint8_t *body, size_t len)
{
    uint8_t reply[64];
    (void)user_data;
    if (len > sizeof reply)
        return CARRICK_E_INVALID;
    memcpy(reply, body, len);
    shout(reply, len);
    return carrick_request_reply(request, reply, len);
}

static void set_key(carrick_auth_options *auth, const char *key)
{
    CHECK(carrick_auth_options_init(auth));
    auth->key = (const uint8_t *)key;
    auth->key_len = strlen(key);
}

static void ask(const char *address, size_t address_len, const char *name, const char *key)
{
    carrick_connection *server = NULL;
    carrick_auth_options auth;
    uint8_t reply[64];
    size_t len = 0;
    carrick_status status;
    set_key(&auth, key);
    status = carrick_connection_connect(address, address_len, NULL, &auth, FOREVER, &server);
    if (status == CARRICK_E_AUTH_FAILED) {
        printf("%s: refused\n", name);
        return;
    }
    CHECK(status);
    CHECK(carrick_connection_send(server, (const uint8_t *)"hello", 5, FOREVER));
    CHECK(carrick_connection_recv_into(server, reply, sizeof reply, FOREVER, &len));
    printf("%s: %.*s\n", name, (int)len, (const char *)reply);
    carrick_connection_free(server);
}

int main(void)
{
    carrick_message_server_options options;
    carrick_auth_options auth;
    carrick_server *server = NULL;
    uint64_t stats[CARRICK_STATS_COUNT];
    char address[128];
    size_t len = 0, count = 0;
    set_key(&auth, "secret");
    CHECK(carrick_message_server_options_init(&options));
    options.auth = &auth;
    CHECK(carrick_message_server_bind(ANY_PORT, &options, answer, NULL, NULL, &server));
    CHECK(carrick_server_address(server, address, sizeof address, &len));
    CHECK(carrick_server_start(server));
    ask(address, len, "wrong key", "sacred");
    ask(address, len, "right key", "secret");
    CHECK(carrick_server_shutdown(server, FOREVER));
    CHECK(carrick_server_stats(server, stats, CARRICK_STATS_COUNT, &count));
    printf("server: %d request, %d refused\n", (int)stats[REQUESTS], (int)stats[REFUSED]);
    carrick_server_free(server);
    return 0;
}
