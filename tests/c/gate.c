/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "harness.h"

#include <pthread.h>

struct caller {
    char where[100];
    const char *key;
    carrick_status status;
};

static void *call(void *argument)
{
    struct caller *caller = argument;
    carrick_connection *connection = NULL;
    carrick_auth_options auth;
    OK(carrick_auth_options_init(&auth));
    auth.key = (const uint8_t *)caller->key;
    auth.key_len = strlen(caller->key);
    caller->status = carrick_connection_connect(CARRICK_TEXT(caller->where), NULL, &auth, FOREVER, &connection);
    carrick_connection_free(connection);
    return NULL;
}

/* Lets a client with this key call, and returns what the gate says. */
static carrick_status let_in(carrick_gate *gate, carrick_listener *listener, const char *key, carrick_status *client)
{
    struct caller caller = {"", NULL, CARRICK_OK};
    carrick_stream *stream = NULL;
    carrick_status status;
    pthread_t thread;
    size_t n = 0;
    caller.key = key;
    OK(carrick_listener_local_address(listener, caller.where, sizeof caller.where - 1, &n));
    CHECK(pthread_create(&thread, NULL, call, &caller) == 0);
    status = carrick_gate_accept(gate, listener, FOREVER, &stream);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK((status == CARRICK_OK) == (stream != NULL));
    carrick_stream_free(stream);
    *client = caller.status;
    return status;
}

static void a_gate_lets_in_who_has_the_key_past_the_silent(void)
{
    carrick_listener *listener = NULL;
    carrick_gate *gate = NULL;
    carrick_stream *silent = NULL;
    carrick_auth_options auth;
    carrick_status client = CARRICK_OK;
    char where[100];
    size_t n = 0;
    OK(carrick_listener_bind(CARRICK_TEXT("127.0.0.1:0"), NULL, &listener));
    OK(carrick_listener_local_address(listener, where, sizeof where, &n));
    OK(carrick_stream_connect(where, n, FOREVER, &silent));
    OK(carrick_auth_options_init(&auth));
    auth.key = (const uint8_t *)"secret";
    auth.key_len = 6;
    auth.handshake_timeout_ns = -1;
    OK(carrick_gate_new(&auth, &gate));
    STATUS(CARRICK_OK, let_in(gate, listener, "secret", &client));
    STATUS(CARRICK_OK, client);
    STATUS(CARRICK_E_AUTH_FAILED, let_in(gate, listener, "another", &client));
    STATUS(CARRICK_E_AUTH_FAILED, client);
    STATUS(CARRICK_OK, let_in(gate, listener, "secret", &client));
    carrick_gate_free(gate);
    carrick_stream_free(silent);
    carrick_listener_free(listener);
}

static void a_gate_does_not_wait_longer_than_it_is_told(void)
{
    carrick_listener *listener = NULL;
    carrick_gate *gate = NULL;
    carrick_stream *stream = NULL;
    carrick_auth_options auth;
    OK(carrick_listener_bind(CARRICK_TEXT("127.0.0.1:0"), NULL, &listener));
    OK(carrick_auth_options_init(&auth));
    OK(carrick_gate_new(&auth, &gate));
    STATUS(CARRICK_E_WOULD_BLOCK, carrick_gate_accept(gate, listener, 0, &stream));
    STATUS(CARRICK_E_TIMEOUT, carrick_gate_accept(gate, listener, 1000000, &stream));
    OK(carrick_listener_close(listener));
    STATUS(CARRICK_E_CLOSED, carrick_gate_accept(gate, listener, FOREVER, &stream));
    STATUS(CARRICK_E_INVALID, carrick_gate_accept(gate, (carrick_listener *)(void *)gate, 0, &stream));
    CHECK(stream == NULL);
    carrick_gate_free(gate);
    carrick_listener_free(listener);
}

static void a_gate_needs_a_digest_of_the_policy(void)
{
    carrick_gate *gate = NULL;
    carrick_auth_options auth;
    OK(carrick_auth_options_init(&auth));
    auth.digest = CARRICK_DIGEST_MD5;
    auth.min_digest = CARRICK_DIGEST_SHA256;
    STATUS(CARRICK_E_INVALID, carrick_gate_new(&auth, &gate));
    CHECK(gate == NULL);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"a_gate_lets_in_who_has_the_key_past_the_silent", a_gate_lets_in_who_has_the_key_past_the_silent},
        {"a_gate_does_not_wait_longer_than_it_is_told", a_gate_does_not_wait_longer_than_it_is_told},
        {"a_gate_needs_a_digest_of_the_policy", a_gate_needs_a_digest_of_the_policy},
    };
    return run_tests(tests, sizeof tests / sizeof tests[0], argc, argv);
}
