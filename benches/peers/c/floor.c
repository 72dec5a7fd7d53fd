/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The cost of the bare system calls: the floor that no library gets under.
 *
 *   floor roundtrip tcp|unix sleep|spin COUNT   microseconds per round trip of 64 bytes between two processes
 *   floor stream CHUNK BUFFER BYTES             megabytes per second through a Unix socket pair, CHUNK bytes a call
 *                                               and BUFFER bytes of send buffer (0: the system's)
 *   floor connect COUNT                         connections per second, one at a time: accept, read, write, close
 *   floor fork COUNT                            microseconds per child that does nothing: fork, exit, wait
 *   floor copy BYTES COUNT                      megabytes per second of memcpy between buffers of that size, of which
 *                                               there are three on each side
 *   floor echo                                  a server of frames that does nothing but epoll, recv and send;
 *                                               prints its port
 */
#define _GNU_SOURCE
#include "frame.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int listen_on(int *out_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    need(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1024) == 0, "listen");
    need(getsockname(fd, (struct sockaddr *)&address, &length) == 0, "getsockname");
    *out_port = ntohs(address.sin_port);
    return fd;
}

static int dial(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    need(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void tcp_pair(int fds[2])
{
    int port, listener = listen_on(&port), on = 1;
    fds[0] = dial(port);
    fds[1] = accept(listener, NULL, NULL);
    need(fds[1] >= 0, "accept");
    setsockopt(fds[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    close(listener);
}

/* A child that is gone when its parent is. */
static pid_t split(void)
{
    pid_t child = fork();
    need(child >= 0, "fork");
    if (child == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return child;
}

static ssize_t receive(int fd, void *to, size_t length, int spin)
{
    for (;;) {
        ssize_t n = recv(fd, to, length, spin ? MSG_DONTWAIT : 0);
        if (n >= 0 || errno != EAGAIN)
            return n;
        sched_yield();
    }
}

static void round_trips(int tcp, int spin, long count)
{
    int fds[2];
    uint8_t bytes[BODY] = {0};
    if (tcp)
        tcp_pair(fds);
    else
        need(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "socketpair");
    if (split() == 0) {
        close(fds[0]);
        while (receive(fds[1], bytes, BODY, spin) == BODY)
            need(send(fds[1], bytes, BODY, MSG_NOSIGNAL) == BODY, "send");
        _exit(0);
    }
    close(fds[1]);
    double from = 0;
    for (long i = -count / 5; i < count; i++) {
        if (i == 0)
            from = now();
        need(send(fds[0], bytes, BODY, MSG_NOSIGNAL) == BODY, "send");
        need(receive(fds[0], bytes, BODY, spin) == BODY, "recv");
    }
    printf("%.3f\n", (now() - from) / (double)count * 1e6);
    close(fds[0]);
    wait(NULL);
}

static void stream(size_t chunk, int buffer, size_t total)
{
    int fds[2];
    char *memory = calloc(1, chunk);
    need(memory != NULL && socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "socketpair");
    if (buffer > 0)
        need(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer) == 0, "SO_SNDBUF");
    memset(memory, 1, chunk);
    if (split() == 0) {
        close(fds[0]);
        for (size_t left = total; left > 0;) {
            ssize_t n = send(fds[1], memory, left < chunk ? left : chunk, MSG_NOSIGNAL);
            need(n > 0, "send");
            left -= (size_t)n;
        }
        _exit(0);
    }
    close(fds[1]);
    double from = now();
    size_t got = 0;
    for (ssize_t n; (n = recv(fds[0], memory, chunk, 0)) > 0;)
        got += (size_t)n;
    need(got == total, "recv");
    printf("%.1f\n", (double)total / (now() - from) / 1e6);
    wait(NULL);
}

static void connections(long count)
{
    int port, listener = listen_on(&port);
    uint8_t bytes[BODY] = {0};
    pid_t server = split();
    if (server == 0) {
        for (;;) {
            int fd = accept(listener, NULL, NULL);
            if (recv(fd, bytes, BODY, 0) > 0)
                send(fd, bytes, BODY, MSG_NOSIGNAL);
            close(fd);
        }
    }
    double from = 0;
    for (long i = -count / 5; i < count; i++) {
        if (i == 0)
            from = now();
        int fd = dial(port);
        need(send(fd, bytes, BODY, MSG_NOSIGNAL) == BODY && recv(fd, bytes, BODY, 0) == BODY, "exchange");
        close(fd);
    }
    printf("%.1f\n", (double)count / (now() - from));
    kill(server, SIGKILL);
    wait(NULL);
}

static void forks(long count)
{
    double from = now();
    for (long i = 0; i < count; i++) {
        pid_t pid = split();
        if (pid == 0)
            _exit(0);
        need(waitpid(pid, NULL, 0) == pid, "waitpid");
    }
    printf("%.2f\n", (now() - from) / (double)count * 1e6);
}

static void copies(size_t bytes, long count)
{
    uint8_t *buffers = malloc(6 * bytes);
    need(buffers != NULL, "malloc");
    memset(buffers, 1, 6 * bytes);
    double from = now();
    for (long i = 0; i < count; i++) {
        uint8_t *here = buffers + (size_t)(i % 3) * 2 * bytes;
        memcpy(here, here + bytes, bytes);
        __asm__ volatile("" : : "r"(here) : "memory");
    }
    printf("%.1f\n", (double)bytes * (double)count / (now() - from) / 1e6);
    free(buffers);
}

static void echo(void)
{
    static uint8_t bytes[64 << 10];
    int port, listener = listen_on(&port), epoll = epoll_create1(0), on = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
    need(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) == 0, "epoll");
    printf("%d\n", port);
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                event.data.fd = accept(listener, NULL, NULL);
                need(event.data.fd >= 0, "accept");
                setsockopt(event.data.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
                continue;
            }
            ssize_t got = recv(fd, bytes, sizeof bytes, 0);
            if (got <= 0 || send(fd, bytes, (size_t)got, MSG_NOSIGNAL) != got)
                close(fd);
        }
    }
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    if (strcmp(mode, "roundtrip") == 0 && argc == 5)
        round_trips(strcmp(argv[2], "tcp") == 0, strcmp(argv[3], "spin") == 0, atol(argv[4]));
    else if (strcmp(mode, "stream") == 0 && argc == 5)
        stream((size_t)atol(argv[2]), atoi(argv[3]), (size_t)atol(argv[4]));
    else if (strcmp(mode, "connect") == 0 && argc == 3)
        connections(atol(argv[2]));
    else if (strcmp(mode, "fork") == 0 && argc == 3)
        forks(atol(argv[2]));
    else if (strcmp(mode, "copy") == 0 && argc == 4)
        copies((size_t)atol(argv[2]), atol(argv[3]));
    else if (strcmp(mode, "echo") == 0 && argc == 2)
        echo();
    else
        return fprintf(stderr, "usage: see the head of floor.c\n"), 2;
    return 0;
}
