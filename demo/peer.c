/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The C end of the demo. demo/README.md says what its arguments mean and what it prints. */
#include <carrick.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOREVER ((int64_t)-1)
#define CHECK(call) check((call), #call)

static void check(carrick_status status, const char *call)
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

static void set_up(const char *scheme, const char *key, carrick_auth_options *auth, carrick_format *format)
{
    int course = strcmp(scheme, "course") == 0;
    CHECK(carrick_auth_options_init(auth));
    CHECK(carrick_format_init(format));
    auth->scheme = course ? CARRICK_SCHEME_COURSE : CARRICK_SCHEME_MULTIPROCESSING;
    auth->key = (const uint8_t *)key;
    auth->key_len = strlen(key);
    format->kind = course ? CARRICK_FORMAT_COURSE : CARRICK_FORMAT_MULTIPROCESSING;
}

static carrick_status shout(void *user_data, const carrick_request *request, const uint8_t *body, size_t len)
{
    uint8_t reply[256];
    (void)user_data;
    if (len > sizeof reply)
        return CARRICK_E_INVALID;
    for (size_t i = 0; i < len; i++)
        reply[i] = (uint8_t)(body[i] >= 'a' && body[i] <= 'z' ? body[i] - 'a' + 'A' : body[i]);
    return carrick_request_reply(request, reply, len);
}

static int serve(const char *scheme, const char *listen, const char *key)
{
    carrick_message_server_options options;
    carrick_auth_options auth;
    carrick_format format;
    carrick_server *server = NULL;
    uint64_t stats[CARRICK_STATS_COUNT];
    char address[256];
    size_t len = 0, count = 0;
    set_up(scheme, key, &auth, &format);
    CHECK(carrick_message_server_options_init(&options));
    options.auth = &auth;
    options.format = &format;
    CHECK(carrick_message_server_bind(CARRICK_TEXT(listen), &options, shout, NULL, NULL, &server));
    CHECK(carrick_server_start(server));
    CHECK(carrick_server_address(server, address, sizeof address, &len));
    printf("LISTENING %.*s\n", (int)len, address);
    fflush(stdout);
    while (getchar() != EOF) { /* the demo closes our input when all clients have been */
    }
    CHECK(carrick_server_shutdown(server, FOREVER));
    CHECK(carrick_server_stats(server, stats, CARRICK_STATS_COUNT, &count));
    printf("SERVED %d REFUSED %d\n", (int)stats[3], (int)stats[7]);
    carrick_server_free(server);
    return 0;
}

static int refused(carrick_status status)
{
    return status == CARRICK_E_AUTH_FAILED || status == CARRICK_E_EOF || status == CARRICK_E_BAD_FRAME ||
           status == CARRICK_E_OS;
}

static int ask(const char *scheme, const char *address, const char *key)
{
    static const char *const words[] = {"haul in", "the main", "sheet"};
    carrick_auth_options auth;
    carrick_format format;
    carrick_connection *server = NULL;
    carrick_status status;
    set_up(scheme, key, &auth, &format);
    status = carrick_connection_connect(CARRICK_TEXT(address), &format, &auth, FOREVER, &server);
    if (refused(status)) {
        printf("REFUSED\n");
        return 0;
    }
    CHECK(status);
    /* All are sent before any answer is read: without frames they would stick together. */
    for (int i = 0; i < 3 && status == CARRICK_OK; i++)
        status = carrick_connection_send(server, (const uint8_t *)words[i], strlen(words[i]), FOREVER);
    for (int i = 0; i < 3 && status == CARRICK_OK; i++) {
        uint8_t answer[256];
        size_t len = 0;
        status = carrick_connection_recv_into(server, answer, sizeof answer, FOREVER, &len);
        if (status == CARRICK_OK)
            printf("%s%.*s", i == 0 ? "ANSWERED " : "|", (int)len, (const char *)answer);
    }
    /* In the course's scheme a client that was refused learns it only now. */
    printf("%s\n", status == CARRICK_OK ? "" : "REFUSED");
    carrick_connection_free(server);
    if (!refused(status))
        CHECK(status);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "server") == 0)
        return serve(argv[2], argv[3], argv[4]);
    if (argc == 6 && strcmp(argv[1], "client") == 0)
        return ask(argv[2], argv[3], argv[5]) || ask(argv[2], argv[3], argv[4]);
    fprintf(stderr, "usage: peer server SCHEME ADDRESS KEY | peer client SCHEME ADDRESS KEY WRONG-KEY\n");
    return 2;
}
