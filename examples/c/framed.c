/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Sticky packets and their cure. TCP keeps no borders between messages; frames do: a length before each. */
#include "example.h"

static const char *const lines[] = {"haul in", "the main", "sheet", ""};

static void without_frames(carrick_stream *client, carrick_stream *server)
{
    uint8_t text[64];
    size_t total = 0, len = 0;
    for (int i = 0; i < 4; i++)
        CHECK(carrick_stream_send_all(client, (const uint8_t *)lines[i], strlen(lines[i]), FOREVER));
    CHECK(carrick_stream_close(client));
    do { /* until the end of the stream */
        CHECK(carrick_stream_recv(server, text + total, sizeof text - total, FOREVER, &len));
        total += len;
    } while (len > 0);
    printf("without frames: \"%.*s\"\n", (int)total, (const char *)text);
}

static void with_frames(carrick_stream *client, carrick_stream *server)
{
    carrick_connection *sender = NULL, *receiver = NULL;
    carrick_format format;
    CHECK(carrick_format_init(&format));
    format.kind = CARRICK_FORMAT_COURSE; /* as Python's struct.pack('i', n) writes it */
    CHECK(carrick_connection_new(client, &format, &sender));
    CHECK(carrick_connection_new(server, &format, &receiver));
    for (int i = 0; i < 4; i++)
        CHECK(carrick_connection_send(sender, (const uint8_t *)lines[i], strlen(lines[i]), FOREVER));
    for (int i = 0; i < 4; i++) {
        uint8_t text[64];
        size_t len = 0;
        CHECK(carrick_connection_recv_into(receiver, text, sizeof text, FOREVER, &len));
        printf("with frames: \"%.*s\"\n", (int)len, (const char *)text);
    }
    carrick_connection_free(sender);
    carrick_connection_free(receiver);
}

int main(void)
{
    void (*const ways[])(carrick_stream *, carrick_stream *) = {without_frames, with_frames};
    carrick_listener *listener = NULL;
    char address[128];
    size_t len = 0;
    CHECK(carrick_listener_bind(ANY_PORT, NULL, &listener));
    CHECK(carrick_listener_local_address(listener, address, sizeof address, &len));
    for (int i = 0; i < 2; i++) {
        carrick_stream *client = NULL, *server = NULL;
        CHECK(carrick_stream_connect(address, len, FOREVER, &client));
        CHECK(carrick_listener_accept(listener, FOREVER, &server));
        ways[i](client, server);
        carrick_stream_free(client);
        carrick_stream_free(server);
    }
    carrick_listener_free(listener);
    return 0;
}
