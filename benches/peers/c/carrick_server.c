/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Echoes frames by carrick's message server, through its C face. Prints its port, then serves until killed. */
#include "frame.h"
#include <carrick.h>

static carrick_status echo(void *user_data, const carrick_request *request, const uint8_t *body, size_t length)
{
    (void)user_data;
    return carrick_request_reply(request, body, length);
}

int main(void)
{
    carrick_server *server;
    char address[64];
    size_t length;
    if (carrick_message_server_bind(CARRICK_TEXT("127.0.0.1:0"), NULL, echo, NULL, NULL, &server) != CARRICK_OK ||
        carrick_server_address(server, address, sizeof address - 1, &length) != CARRICK_OK)
        return 1;
    address[length] = 0;
    puts(strrchr(address, ':') + 1);
    fflush(stdout);
    carrick_status status = carrick_server_serve(server);
    carrick_server_free(server);
    return status != CARRICK_OK;
}
