/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* An authenticated server that echoes messages, and its client. */
#include <carrick.h>
#include <stdio.h>
#include <string.h>

static carrick_status echo(void *user_data, const carrick_request *request, const uint8_t *body, size_t len)
{
    (void)user_data;
    return carrick_request_reply(request, body, len);
}

int main(void)
{
    carrick_auth_options auth;
    carrick_message_server_options options;
    carrick_server *server = NULL;
    carrick_connection *client = NULL;
    carrick_status status;
    char address[CARRICK_ADDRESS_MAX];
    uint8_t reply[64];
    size_t len;

    carrick_auth_options_init(&auth);
    auth.key = (const uint8_t *)"secret";
    auth.key_len = 6;
    carrick_message_server_options_init(&options);
    options.auth = &auth;

    if ((status = carrick_message_server_bind(CARRICK_TEXT("127.0.0.1:0"), &options, echo, NULL, NULL, &server)) == 0 &&
        (status = carrick_server_address(server, address, sizeof address, &len)) == 0 &&
        (status = carrick_server_start(server)) == 0 &&
        (status = carrick_connection_connect(address, len, NULL, &auth, CARRICK_FOREVER, &client)) == 0 &&
        (status = carrick_connection_send(client, (const uint8_t *)"hello", 5, CARRICK_FOREVER)) == 0 &&
        (status = carrick_connection_recv_into(client, reply, sizeof reply, CARRICK_FOREVER, &len)) == 0)
        printf("%.*s\n", (int)len, (const char *)reply);
    else
        fprintf(stderr, "%s: %s\n", carrick_status_name(status), carrick_status_text(status));
    carrick_connection_free(client);
    carrick_server_free(server);
    return status != CARRICK_OK;
}
