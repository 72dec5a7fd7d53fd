/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A program that has only the installed header and library. It is C99 and C++11. */
#include <carrick.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(carrick_status status, const char *what)
{
    if (status != CARRICK_OK) {
        fprintf(stderr, "%s: %s\n", what, carrick_status_text(status));
        exit(1);
    }
}

static carrick_status echo(void *user_data, const carrick_request *request, const uint8_t *data, size_t len)
{
    (void)user_data;
    return carrick_request_reply(request, data, len);
}

int main(void)
{
    static const uint8_t key[] = {'s', 'e', 'c', 'r', 'e', 't'};
    carrick_auth_options auth;
    carrick_message_server_options options;
    carrick_server *server = NULL;
    carrick_connection *client = NULL;
    char where[128];
    uint8_t answer[16];
    size_t where_len = 0, answer_len = 0;
    check(carrick_auth_options_init(&auth), "init");
    auth.key = key;
    auth.key_len = sizeof key;
    check(carrick_message_server_options_init(&options), "init");
    options.auth = &auth;
    check(carrick_message_server_bind(CARRICK_TEXT("127.0.0.1:0"), &options, echo, NULL, NULL, &server), "bind");
    check(carrick_server_start(server), "start");
    check(carrick_server_address(server, where, sizeof where, &where_len), "address");
    check(carrick_connection_connect(where, where_len, NULL, &auth, 10000000000, &client), "connect");
    check(carrick_connection_send(client, (const uint8_t *)"knot", 4, 10000000000), "send");
    check(carrick_connection_recv_into(client, answer, sizeof answer, 10000000000, &answer_len), "receive");
    carrick_connection_free(client);
    check(carrick_server_shutdown(server, 10000000000), "shutdown");
    carrick_server_free(server);
    if (answer_len != 4 || memcmp(answer, "knot", 4) != 0) {
        fprintf(stderr, "the echo differs\n");
        return 1;
    }
    printf("carrick %s answered\n", carrick_version());
    return 0;
}
