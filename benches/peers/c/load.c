/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The client that all servers are measured with.
 *
 *   load framed PORT CONNECTIONS DEPTH SECONDS  frames, DEPTH of them under way on each connection; one thread
 *   load connect PORT THREADS SECONDS           a connection per request, plain bytes, a thread each
 *   load persistent PORT THREADS SECONDS        one connection per thread, plain bytes
 *   load idle PORT CONNECTIONS                  a request on each, then says "ready" and holds them until stdin ends
 *
 * Prints what was done in a second. The first fifth of the time does not count. Every answer is checked.
 */
#define _GNU_SOURCE
#include "frame.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static int port;
static uint8_t frame[FRAME];

/* Connects from 127.0.0.`source`: one address has ports for some 28,000 connections only. */
static int dial(int source)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    need(fd >= 0, "socket");
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(port)};
    from.sin_addr.s_addr = htonl(0x7f000000u + (unsigned)source);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    need(bind(fd, (struct sockaddr *)&from, sizeof from) == 0, "bind");
    need(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void receive_all(int fd, uint8_t *to, size_t length)
{
    while (length > 0) {
        ssize_t n = recv(fd, to, length, 0);
        need(n > 0, "recv");
        to += n;
        length -= (size_t)n;
    }
}

/* Counts what is done after a warm-up. */
struct meter {
    double counts_from, end;
    uint64_t done;
};

static struct meter meter_of(double seconds)
{
    double counts_from = now() + seconds / 5;
    return (struct meter){.counts_from = counts_from, .end = counts_from + seconds};
}

/* Notes `n` more done; whether there is time left. */
static int tick(struct meter *meter, unsigned n)
{
    double t = now();
    if (t >= meter->counts_from)
        meter->done += n;
    return t < meter->end;
}

static void framed(int connections, int depth, double seconds)
{
    int fds[connections];
    size_t at[connections], burst = (size_t)depth * FRAME;
    uint8_t *out = malloc(burst), *in = malloc(burst);
    need(out != NULL && in != NULL, "malloc");
    for (int i = 0; i < depth; i++)
        memcpy(out + (size_t)i * FRAME, frame, FRAME);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < connections; i++) {
        fds[i] = dial(1);
        at[i] = 0;
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        need(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) == 0, "epoll_ctl");
    }
    struct meter meter = meter_of(seconds);
    for (int i = 0; i < connections; i++)
        need(send(fds[i], out, burst, MSG_NOSIGNAL) == (ssize_t)burst, "send");
    struct epoll_event events[64];
    unsigned complete = 0;
    while (tick(&meter, complete)) {
        int n = epoll_wait(epoll, events, 64, 10000);
        need(n > 0, "epoll_wait");
        complete = 0;
        for (int e = 0; e < n; e++) {
            uint32_t i = events[e].data.u32;
            ssize_t got = recv(fds[i], in, burst, 0);
            need(got > 0, "recv");
            /* One frame arrives over and over; at[i] is how far into it the stream is. */
            size_t answers = 0, piece;
            for (size_t seen = 0; seen < (size_t)got; seen += piece) {
                piece = FRAME - at[i] < (size_t)got - seen ? FRAME - at[i] : (size_t)got - seen;
                errno = EBADMSG;
                need(memcmp(in + seen, frame + at[i], piece) == 0, "answer");
                at[i] = (at[i] + piece) % FRAME;
                answers += at[i] == 0;
            }
            /* The buffer of the socket has room for all that is under way. */
            size_t length = answers * FRAME;
            need(length == 0 || send(fds[i], out, length, MSG_NOSIGNAL) == (ssize_t)length, "send");
            complete += (unsigned)answers;
        }
    }
    printf("%.1f\n", (double)meter.done / seconds);
}

/* ---- plain bytes, a thread for each client ---- */

struct client {
    int number, persistent;
    double seconds;
    uint64_t done;
};

static void exchange(int fd)
{
    uint8_t answer[BODY];
    need(send(fd, frame + HEAD, BODY, MSG_NOSIGNAL) == BODY, "send");
    receive_all(fd, answer, BODY);
    errno = EBADMSG;
    need(memcmp(answer, frame + HEAD, BODY) == 0, "answer");
}

static void *run_client(void *argument)
{
    struct client *client = argument;
    struct meter meter = meter_of(client->seconds);
    int source = 1 + client->number;
    int fd = client->persistent ? dial(source) : -1;
    do {
        if (client->persistent) {
            exchange(fd);
        } else {
            fd = dial(source);
            exchange(fd);
            close(fd);
        }
    } while (tick(&meter, 1));
    client->done = meter.done;
    return NULL;
}

static void plain(int persistent, int count, double seconds)
{
    pthread_t threads[count];
    struct client clients[count];
    uint64_t done = 0;
    for (int i = 0; i < count; i++) {
        clients[i] = (struct client){.number = i, .persistent = persistent, .seconds = seconds};
        need(pthread_create(&threads[i], NULL, run_client, &clients[i]) == 0, "pthread_create");
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        done += clients[i].done;
    }
    printf("%.1f\n", (double)done / seconds);
}

/* ---- many connections that do nothing ---- */

static void idle(int connections)
{
    struct rlimit limit;
    need(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    need(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    for (int i = 0; i < connections; i++) {
        uint8_t answer[FRAME];
        int fd = dial(1 + i / 5000);
        need(send(fd, frame, FRAME, MSG_NOSIGNAL) == FRAME, "send");
        receive_all(fd, answer, FRAME);
        errno = EBADMSG;
        need(memcmp(answer, frame, FRAME) == 0, "answer");
    }
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF)
        continue;
}

int main(int argc, char **argv)
{
    fill_frame(frame);
    const char *mode = argc > 1 ? argv[1] : "";
    port = argc > 2 ? atoi(argv[2]) : 0;
    if (strcmp(mode, "framed") == 0 && argc == 6)
        framed(atoi(argv[3]), atoi(argv[4]), atof(argv[5]));
    else if (strcmp(mode, "connect") == 0 && argc == 5)
        plain(0, atoi(argv[3]), atof(argv[4]));
    else if (strcmp(mode, "persistent") == 0 && argc == 5)
        plain(1, atoi(argv[3]), atof(argv[4]));
    else if (strcmp(mode, "idle") == 0 && argc == 4)
        idle(atoi(argv[3]));
    else
        return fprintf(stderr, "usage: see the head of load.c\n"), 2;
    return 0;
}
