/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#define _XOPEN_SOURCE 700
#include "subjects.h"

#include <errno.h>
#include <sys/wait.h>

static const uint8_t key[] = "secret", body_bytes[] = "data";

void item_reader(void *user_data, const uint8_t *data, size_t data_len)
{
    (void)user_data;
    (void)data;
    (void)data_len;
}

int32_t process_function(const uint8_t *argument, size_t argument_len, const carrick_connection *channel)
{
    return argument != NULL && argument_len == 4 && channel == NULL ? 0 : 1;
}

carrick_status stream_handler(void *user_data, const carrick_session *session)
{
    (void)user_data;
    return session == NULL ? -1 : 0;
}

carrick_status message_handler(void *user_data, const carrick_request *request, const uint8_t *data, size_t data_len)
{
    (void)user_data, (void)data_len;
    return request == NULL || data == NULL ? -1 : 0;
}

carrick_status datagram_handler(void *user_data, const uint8_t *data, size_t data_len, const char *peer,
                                size_t peer_len, uint8_t *reply, size_t reply_cap, size_t *reply_len)
{
    (void)user_data, (void)data, (void)data_len, (void)peer, (void)peer_len, (void)reply, (void)reply_cap;
    return reply_len == NULL ? -1 : 0;
}

void make_subjects(struct subjects *s)
{
    carrick_stream *framed = NULL;
    memset(s, 0, sizeof *s);
    OK(carrick_auth_options_init(&s->auth));
    s->auth.key = key;
    s->auth.key_len = 6;
    OK(carrick_format_init(&s->format));
    OK(carrick_listen_options_init(&s->listen));
    OK(carrick_stream_server_options_init(&s->stream_server));
    OK(carrick_message_server_options_init(&s->message_server));
    s->parts[0].data = body_bytes;
    s->parts[0].len = 4;
    OK(carrick_stream_pair(&s->stream, &s->other_end));
    OK(carrick_connection_new(s->stream, NULL, &s->connection));
    /* The stream under test and the connection share nothing. */
    framed = s->stream;
    s->stream = NULL;
    OK(carrick_connection_stream(s->connection, &s->stream));
    carrick_stream_free(framed);
    OK(carrick_listener_bind(CARRICK_TEXT("127.0.0.1:0"), NULL, &s->listener));
    OK(carrick_listener_local_address(s->listener, s->where, sizeof s->where, &s->where_len));
    OK(carrick_datagram_bind(CARRICK_TEXT("127.0.0.1:0"), &s->datagram));
    OK(carrick_poller_new(&s->poller));
    OK(carrick_mac_new(CARRICK_DIGEST_SHA256, key, 6, &s->mac));
    OK(carrick_gate_new(&s->auth, &s->gate));
    OK(carrick_queue_options_init(&s->queue_options));
    s->queue_options.selectable = 1;
    OK(carrick_queue_new(&s->queue_options, &s->queue));
    OK(carrick_lock_options_init(&s->lock_options));
    OK(carrick_lock_new(&s->lock_options, &s->lock));
    OK(carrick_semaphore_new(1, 5, &s->semaphore));
    OK(carrick_condition_new(&s->condition));
    OK(carrick_event_new(&s->event));
    OK(carrick_barrier_new(2, &s->barrier));
    OK(carrick_process_options_init(&s->process_options));
    s->arguments[0] = "true";
    /* valgrind, up to 3.19, does not know the system call pidfd_open. */
    if (getenv("CARRICK_UNDER_VALGRIND") == NULL) {
        OK(carrick_process_spawn(s->arguments, NULL, &s->process));
        OK(carrick_process_pid(s->process, &s->process_pid));
        OK(carrick_fork_server_new(&s->fork_server));
    }
    OK(carrick_message_server_bind(CARRICK_TEXT("127.0.0.1:0"), NULL, message_handler, NULL, NULL, &s->server));
}

void free_subjects(struct subjects *s)
{
    carrick_stream_free(s->stream);
    carrick_stream_free(s->other_end);
    carrick_connection_free(s->connection);
    carrick_listener_free(s->listener);
    carrick_datagram_free(s->datagram);
    carrick_poller_free(s->poller);
    carrick_mac_free(s->mac);
    carrick_gate_free(s->gate);
    carrick_queue_free(s->queue);
    carrick_lock_free(s->lock);
    carrick_semaphore_free(s->semaphore);
    carrick_condition_free(s->condition);
    carrick_event_free(s->event);
    carrick_barrier_free(s->barrier);
    /* Until it has ended it keeps a descriptor. Its handle may be one that has panicked; ECHILD: it was joined. */
    if (s->process_pid > 0) {
        siginfo_t info;
        CHECK(waitid(P_PID, (id_t)s->process_pid, &info, WEXITED | WNOWAIT) == 0 || errno == ECHILD);
        s->process_pid = 0;
    }
    carrick_process_free(s->process);
    carrick_fork_server_free(s->fork_server);
    carrick_server_free(s->server);
}

struct visit {
    struct subjects *subjects;
    void (*body)(struct subjects *s);
    int done;
};

static carrick_status visit_request(void *user_data, const carrick_request *request, const uint8_t *data, size_t data_len)
{
    struct visit *visit = user_data;
    (void)data, (void)data_len;
    visit->subjects->request = request;
    visit->body(visit->subjects);
    visit->subjects->request = NULL;
    visit->done = 1;
    return CARRICK_OK;
}

static carrick_status visit_session(void *user_data, const carrick_session *session)
{
    struct visit *visit = user_data;
    visit->subjects->session = session;
    visit->body(visit->subjects);
    visit->subjects->session = NULL;
    visit->done = 1;
    return CARRICK_OK;
}

/* Serves one client whose handler does the visit, and waits until that is over. */
static void serve_one(carrick_server *server)
{
    char where[100];
    size_t len = 0, n = 0;
    uint8_t byte;
    carrick_connection *client = NULL;
    carrick_stream *stream = NULL;
    OK(carrick_server_start(server));
    OK(carrick_server_address(server, where, sizeof where, &len));
    OK(carrick_connection_connect(where, len, NULL, NULL, FOREVER, &client));
    OK(carrick_connection_stream(client, &stream));
    /* A handler of a session may be over by now, and the connection with it. */
    (void)carrick_connection_send(client, body_bytes, 4, FOREVER);
    (void)carrick_stream_shutdown(stream, CARRICK_SHUTDOWN_WRITE);
    /* The server closes when the handler has returned and all is sent. */
    while (carrick_stream_recv(stream, &byte, 1, FOREVER, &n) == CARRICK_OK && n > 0)
        ;
    carrick_stream_free(stream);
    carrick_connection_free(client);
    OK(carrick_server_shutdown(server, FOREVER));
    carrick_server_free(server);
}

void inside_request(struct subjects *s, void (*body)(struct subjects *s))
{
    struct visit visit = {s, body, 0};
    carrick_server *server = NULL;
    OK(carrick_message_server_bind(CARRICK_TEXT("127.0.0.1:0"), NULL, visit_request, &visit, NULL, &server));
    serve_one(server);
    CHECK(visit.done);
}

void inside_session(struct subjects *s, void (*body)(struct subjects *s))
{
    struct visit visit = {s, body, 0};
    carrick_server *server = NULL;
    OK(carrick_stream_server_bind(CARRICK_TEXT("127.0.0.1:0"), NULL, visit_session, &visit, NULL, &server));
    serve_one(server);
    CHECK(visit.done);
}
