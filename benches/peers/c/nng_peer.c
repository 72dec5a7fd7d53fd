/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * nng, REQ and REP.
 *
 *   nng_peer server                              prints its port, echoes until it is killed
 *   nng_peer client PORT SOCKETS DEPTH SECONDS   REQ sockets with DEPTH contexts each, so many requests under way
 *
 * Both ends are nng's asynchronous way: a context and an aio for each request that may be under way.
 */
#include "frame.h"
#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/util/platform.h>
#include <stdatomic.h>

/* As many as the clients of the benchmark have requests under way. */
enum { SERVER_CONTEXTS = 128 };

struct work {
    nng_aio *aio;
    nng_ctx context;
    enum { RECEIVING, SENDING } state;
};

static uint8_t body[BODY];
static _Atomic uint64_t done;
static _Atomic int stopping;

static void check(int code, const char *what)
{
    if (code != 0) {
        fprintf(stderr, "%s: %s\n", what, nng_strerror(code));
        exit(1);
    }
}

static void start(struct work *work, nng_socket socket, void (*step)(void *))
{
    check(nng_aio_alloc(&work->aio, step, work), "nng_aio_alloc");
    check(nng_ctx_open(&work->context, socket), "nng_ctx_open");
}

static void serve_step(void *argument)
{
    struct work *work = argument;
    check(nng_aio_result(work->aio), work->state == RECEIVING ? "receive" : "send");
    if (work->state == RECEIVING) {
        /* The request goes back as the reply; the message stays in the aio. */
        work->state = SENDING;
        nng_ctx_send(work->context, work->aio);
    } else {
        work->state = RECEIVING;
        nng_ctx_recv(work->context, work->aio);
    }
}

static void serve(void)
{
    static struct work works[SERVER_CONTEXTS];
    nng_socket socket;
    nng_listener listener;
    int port;
    check(nng_rep0_open(&socket), "nng_rep0_open");
    check(nng_listener_create(&listener, socket, "tcp://127.0.0.1:0"), "nng_listener_create");
    check(nng_listener_set_bool(listener, NNG_OPT_TCP_NODELAY, true), "no delay");
    check(nng_listener_start(listener, 0), "nng_listener_start");
    check(nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port), "bound port");
    for (int i = 0; i < SERVER_CONTEXTS; i++) {
        start(&works[i], socket, serve_step);
        works[i].state = RECEIVING;
        nng_ctx_recv(works[i].context, works[i].aio);
    }
    printf("%d\n", port);
    fflush(stdout);
    for (;;)
        nng_msleep(1000);
}

static void ask(struct work *work)
{
    nng_msg *message;
    check(nng_msg_alloc(&message, 0), "nng_msg_alloc");
    check(nng_msg_append(message, body, BODY), "nng_msg_append");
    nng_aio_set_msg(work->aio, message);
    work->state = SENDING;
    nng_ctx_send(work->context, work->aio);
}

static void client_step(void *argument)
{
    struct work *work = argument;
    int result = nng_aio_result(work->aio);
    if (result != 0 && atomic_load(&stopping))
        return;
    check(result, work->state == RECEIVING ? "receive" : "send");
    if (work->state == SENDING) {
        work->state = RECEIVING;
        nng_ctx_recv(work->context, work->aio);
        return;
    }
    nng_msg *message = nng_aio_get_msg(work->aio);
    errno = EBADMSG;
    need(nng_msg_len(message) == BODY && memcmp(nng_msg_body(message), body, BODY) == 0, "answer");
    nng_msg_free(message);
    atomic_fetch_add(&done, 1);
    if (!atomic_load(&stopping))
        ask(work);
}

static void load(int port, int count, int depth, double seconds)
{
    struct work *works = calloc((size_t)(count * depth), sizeof *works);
    nng_socket sockets[count];
    char url[64];
    need(works != NULL, "calloc");
    fill_body(body);
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d", port);
    for (int i = 0; i < count; i++) {
        nng_dialer dialer;
        check(nng_req0_open(&sockets[i]), "nng_req0_open");
        check(nng_dialer_create(&dialer, sockets[i], url), "nng_dialer_create");
        check(nng_dialer_set_bool(dialer, NNG_OPT_TCP_NODELAY, true), "no delay");
        check(nng_dialer_start(dialer, 0), "nng_dialer_start");
        for (int k = 0; k < depth; k++) {
            struct work *work = &works[i * depth + k];
            start(work, sockets[i], client_step);
            ask(work);
        }
    }
    nng_msleep((nng_duration)(seconds * 200));
    double from = now();
    uint64_t before = atomic_load(&done);
    nng_msleep((nng_duration)(seconds * 1000));
    uint64_t after = atomic_load(&done);
    printf("%.1f\n", (double)(after - before) / (now() - from));
    fflush(stdout);
    atomic_store(&stopping, 1);
    /* The process ends here; nng's own threads with it. */
    _Exit(0);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "server") == 0)
        serve();
    else if (argc == 6 && strcmp(argv[1], "client") == 0)
        load(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atof(argv[5]));
    else
        return fprintf(stderr, "usage: see the head of nng_peer.c\n"), 2;
    return 0;
}
