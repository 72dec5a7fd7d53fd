/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A crawler: three processes take URLs from a queue and fetch the pages of a server, two find in them what they look
 * for. The server is a process of its own, on this machine; nothing goes out to a network. An item without a body
 * says that there is no more, and each process leaves it to the next one. */
#include "process.h"

#define PAGES 5
#define ON_A_PAGE 2
#define ALL (PAGES * ON_A_PAGE)
#define FETCHERS 3
#define FINDERS 2

static const char *const knots[ALL] = {"bowline",    "clove hitch",    "figure eight", "reef knot",     "sheet bend",
                                       "half hitch", "rolling hitch", "carrick bend", "cleat hitch", "anchor hitch"};
static carrick_queue *urls, *pages, *found;

/* Answers one request, "GET /top?start=NUMBER", with a page, and closes. */
static carrick_status serve(void *user_data, const carrick_session *session)
{
    const carrick_stream *client = NULL;
    char text[1024] = "";
    size_t total = 0, len = 1;
    int start = 0;
    carrick_status status = carrick_session_stream(session, &client);
    (void)user_data;
    while (status == CARRICK_OK && len > 0 && strstr(text, "\r\n\r\n") == NULL) {
        status = carrick_stream_recv(client, (uint8_t *)text + total, sizeof text - 1 - total, FOREVER, &len);
        if (status == CARRICK_OK)
            text[total += len] = '\0';
    }
    if (status != CARRICK_OK || sscanf(text, "GET /top?start=%d ", &start) != 1 || start < 0)
        return status;
    total = (size_t)sprintf(text, "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n");
    for (int i = start; i < start + ON_A_PAGE && i < ALL; i++)
        total += (size_t)sprintf(text + total,
                                 "<em>%d</em><span class=\"title\">%s</span><span class=\"uses\">%d uses</span>\n", i,
                                 knots[i], i * i);
    return carrick_stream_send_all(client, (const uint8_t *)text, total, FOREVER);
}

/* The server has threads, so it has a process of its own. Its address goes to the parent, with which it ends. */
static int32_t run_server(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    carrick_server *server = NULL;
    char address[128];
    (void)argument;
    CHECK(carrick_stream_server_bind(ANY_PORT, NULL, serve, NULL, NULL, &server));
    CHECK(carrick_server_address(server, address, sizeof address, &len));
    CHECK(carrick_connection_send(channel, (const uint8_t *)address, len, FOREVER));
    CHECK(carrick_server_serve(server));
    return 0;
}

/* Gets the page of "http://HOST:PORT/PATH" with its head. */
static void fetch(const char *url, char *page, size_t cap)
{
    const char *address = url + strlen("http://");
    size_t address_len = strcspn(address, "/"), total = 0, len = 0;
    carrick_stream *server = NULL;
    char request[256];
    int request_len = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\n\r\n", address + address_len);
    CHECK(carrick_stream_connect(address, address_len, FOREVER, &server));
    CHECK(carrick_stream_send_all(server, (const uint8_t *)request, (size_t)request_len, FOREVER));
    do { /* until the server closes */
        CHECK(carrick_stream_recv(server, (uint8_t *)page + total, cap - 1 - total, FOREVER, &len));
        total += len;
    } while (len > 0);
    page[total] = '\0';
    carrick_stream_free(server);
}

static int32_t fetcher(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    char url[128], page[1024];
    (void)argument, (void)len, (void)channel;
    while (get(urls, url, sizeof url) > 0) {
        fetch(url, page, sizeof page);
        put(pages, page);
    }
    put(urls, "");
    return 0;
}

static int32_t finder(const uint8_t *argument, size_t len, const carrick_connection *channel)
{
    char page[1024], title[64], text[128];
    int id, uses;
    (void)argument, (void)len, (void)channel;
    while (get(pages, page, sizeof page) > 0) {
        for (const char *at = page; (at = strstr(at, "<em>")) != NULL; at++)
            if (sscanf(at, "<em>%d</em><span class=\"title\">%63[^<]</span><span class=\"uses\">%d uses</span>", &id,
                       title, &uses) == 3) {
                sprintf(text, "%d: %s, %d uses", id, title, uses);
                put(found, text);
            }
    }
    put(pages, "");
    return 0;
}

/* Starts the server; text is where it can be reached. */
static carrick_process *started_server(char *text, size_t cap)
{
    carrick_process_options options;
    carrick_process *server = NULL;
    carrick_connection *channel = NULL;
    size_t len = 0;
    CHECK(carrick_process_options_init(&options));
    options.daemon = 1;
    options.channel = 1;
    CHECK(carrick_process_start(run_server, NULL, 0, &options, &server));
    CHECK(carrick_process_take_channel(server, &channel));
    CHECK(carrick_connection_recv_into(channel, (uint8_t *)text, cap - 1, FOREVER, &len));
    text[len] = '\0';
    carrick_connection_free(channel);
    return server;
}

int main(void)
{
    carrick_process *server, *workers[FETCHERS + FINDERS];
    char address[128], url[256], text[128], in_order[ALL][128] = {""};
    urls = new_queue(0);
    pages = new_queue(2);
    found = new_queue(0);
    server = started_server(address, sizeof address);
    for (int i = 0; i < FETCHERS + FINDERS; i++)
        workers[i] = started(i < FETCHERS ? fetcher : finder, NULL, 0);
    for (int i = 0; i < PAGES; i++) {
        snprintf(url, sizeof url, "http://%s/top?start=%d", address, i * ON_A_PAGE);
        put(urls, url);
    }
    put(urls, "");
    for (int i = 0; i < FETCHERS + FINDERS; i++) {
        if (ended(workers[i]) != 0)
            return 1;
        if (i == FETCHERS - 1)
            put(pages, "");
    }
    for (int i = 0; i < ALL; i++) { /* in the order in which they were found */
        get(found, text, sizeof text);
        strcpy(in_order[atoi(text)], text);
    }
    for (int i = 0; i < ALL; i++)
        printf("%s\n", in_order[i]);
    CHECK(carrick_process_terminate(server));
    ended(server);
    carrick_queue_free(found);
    carrick_queue_free(pages);
    carrick_queue_free(urls);
    return 0;
}
