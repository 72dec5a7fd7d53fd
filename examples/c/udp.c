/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* UDP: no connection, every datagram keeps its borders, and an empty one is a message too. */
#include "example.h"

int main(void)
{
    static const char *const words[] = {"ahoy", ""};
    carrick_datagram *server = NULL, *client = NULL;
    char address[128];
    size_t address_len = 0;
    CHECK(carrick_datagram_bind(ANY_PORT, &server));
    CHECK(carrick_datagram_local_address(server, address, sizeof address, &address_len));
    CHECK(carrick_datagram_unbound(address, address_len, &client));
    for (int i = 0; i < 2; i++) {
        uint8_t text[64];
        char answer[80], sender[128];
        size_t len = 0, sender_len = 0;
        CHECK(carrick_datagram_send_to(client, (const uint8_t *)words[i], strlen(words[i]), address, address_len,
                                       FOREVER));
        CHECK(carrick_datagram_recv_from(server, text, sizeof text, FOREVER, &len, sender, sizeof sender,
                                         &sender_len));
        printf("server: \"%.*s\"\n", (int)len, (const char *)text);
        snprintf(answer, sizeof answer, "got %.*s", (int)len, (const char *)text);
        CHECK(carrick_datagram_send_to(server, (const uint8_t *)answer, strlen(answer), sender, sender_len,
                                       FOREVER));
        CHECK(carrick_datagram_recv_from(client, text, sizeof text, FOREVER, &len, NULL, 0, NULL));
        printf("client: \"%.*s\"\n", (int)len, (const char *)text);
    }
    carrick_datagram_free(client);
    carrick_datagram_free(server);
    return 0;
}
