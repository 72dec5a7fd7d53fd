/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Parts that all the examples need: a way to say that a call failed, and three clients for the servers. */
#ifndef CARRICK_EXAMPLE_H
#define CARRICK_EXAMPLE_H

#include <carrick.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOREVER ((int64_t)-1)
#define NOW ((int64_t)0)
#define ANY_PORT CARRICK_TEXT("127.0.0.1:0") /* the kernel chooses one that is free */
#define CHECK(call) check((call), #call)

/* Ends the program when a call failed, with the library's words on what was wrong. */
static inline void check(carrick_status status, const char *call)
{
    char text[256];
    size_t len = 0;
    if (status == CARRICK_OK)
        return;
    if (carrick_last_error(text, sizeof text, &len) != CARRICK_OK)
        len = 0;
    fprintf(stderr, "%s: %s: %.*s\n", call, carrick_status_name(status), (int)len, text);
    exit(1);
}

/* Takes a lock. If its holder was killed it is taken all the same, and what it guards may be half changed. */
static inline void take(carrick_lock *lock)
{
    carrick_status status = carrick_lock_acquire(lock, FOREVER);
    if (status != CARRICK_E_OWNER_DIED)
        check(status, "carrick_lock_acquire");
}

/* Turns ASCII letters into capitals, which is all the servers of the examples do. */
static inline void shout(uint8_t *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] >= 'a' && text[i] <= 'z')
            text[i] = (uint8_t)(text[i] - 'a' + 'A');
}

/* Three clients, connected at the same time; each says its name and prints the answer. */
static inline void three_clients(const char *address, size_t address_len)
{
    static const char *const names[] = {"anchor", "bow", "capstan"};
    carrick_stream *clients[3];
    for (int i = 0; i < 3; i++)
        CHECK(carrick_stream_connect(address, address_len, FOREVER, &clients[i]));
    for (int i = 0; i < 3; i++) {
        uint8_t answer[64];
        size_t len = 0;
        CHECK(carrick_stream_send_all(clients[i], (const uint8_t *)names[i], strlen(names[i]), FOREVER));
        CHECK(carrick_stream_recv(clients[i], answer, sizeof answer, FOREVER, &len));
        printf("%s: %.*s\n", names[i], (int)len, (const char *)answer);
        carrick_stream_free(clients[i]);
    }
}

#endif
