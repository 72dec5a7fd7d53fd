/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * carrick: framed sockets, HMAC authentication, servers, processes, and queues and locks in shared memory.
 * Version 0.1.
 *
 * Made by cbindgen from ffi/src; do not edit. The conventions behind the words OWNED, SHARED, BORROWED,
 * CONSUMED (who frees), ANY, ONE, HOME (which thread) are in docs/c-api.md. In short:
 *   - every call that can fail returns a carrick_status: 0 is OK, negative an error; outputs come last and
 *     are written only on OK (E_BUFFER also writes the length that is needed);
 *   - a pointer must not be NULL unless its comment says so, and NULL gives CARRICK_E_NULL;
 *   - text is UTF-8 with a length; (NULL, 0) is an empty buffer; CARRICK_TEXT("...") makes both from a literal;
 *   - a time is int64_t nanoseconds: negative waits for ever, 0 does not wait (CARRICK_E_WOULD_BLOCK;
 *     of a queue CARRICK_E_EMPTY and CARRICK_E_FULL; docs/c-api.md has the rest).
 */

#ifndef CARRICK_H
#define CARRICK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
/** A string as the two arguments (pointer, length). */
#define CARRICK_TEXT(text) (text), strlen(text)


/**
 * The call did what it says.
 */
#define CARRICK_OK 0

/**
 * An argument is out of its range; the message names it, its value and the range.
 */
#define CARRICK_E_INVALID -1

/**
 * A pointer that must not be NULL is NULL (C only).
 */
#define CARRICK_E_NULL -2

/**
 * The caller's buffer is too small; the needed length is reported and nothing is lost.
 */
#define CARRICK_E_BUFFER -3

/**
 * An options struct is of a version this library does not know (C only).
 */
#define CARRICK_E_VERSION -4

/**
 * Memory could not be had.
 */
#define CARRICK_E_NOMEMORY -5

/**
 * A bug: code of ours or of a handler panicked; the handle can only be closed and freed.
 */
#define CARRICK_E_PANIC -6

/**
 * The call is forbidden where it was made, for example inside a callback.
 */
#define CARRICK_E_REENTRANT -7

/**
 * The handle belongs to the parent process and cannot be used after fork.
 */
#define CARRICK_E_FORKED -8

/**
 * The call does not fit the state of the object, for example a server started twice.
 */
#define CARRICK_E_STATE -9

/**
 * The object was closed, by this caller or by another thread.
 */
#define CARRICK_E_CLOSED -20

/**
 * The deadline passed.
 */
#define CARRICK_E_TIMEOUT -21

/**
 * Nothing can be done at once and the caller asked not to wait.
 */
#define CARRICK_E_WOULD_BLOCK -22

/**
 * A signal ended the wait, because the program's interrupt hook said so. Only Rust can install one: in a program
 * without it a wait goes on after a signal.
 */
#define CARRICK_E_INTERRUPTED -23

/**
 * There is no room for one more.
 */
#define CARRICK_E_FULL -24

/**
 * There is nothing to take.
 */
#define CARRICK_E_EMPTY -25

/**
 * The peer closed the connection between two frames.
 */
#define CARRICK_E_EOF -40

/**
 * The peer closed the connection inside a frame, or the frame's head makes no sense.
 */
#define CARRICK_E_BAD_FRAME -41

/**
 * The frame is longer than the cap of its format or connection.
 */
#define CARRICK_E_FRAME_TOO_LARGE -42

/**
 * The peer could not prove that it has the key, or broke the exchange.
 */
#define CARRICK_E_AUTH_FAILED -50

/**
 * No digest has this name.
 */
#define CARRICK_E_UNKNOWN_DIGEST -51

/**
 * The process that held this died while holding it.
 */
#define CARRICK_E_OWNER_DIED -60

/**
 * The worker that ran this task died.
 */
#define CARRICK_E_WORKER_DIED -61

/**
 * The object was broken by somebody's failure or abort.
 */
#define CARRICK_E_BROKEN -62

/**
 * A handler returned an error of its own.
 */
#define CARRICK_E_HANDLER -63

/**
 * Memory that processes share holds what no program of this library writes.
 */
#define CARRICK_E_CORRUPT -64

/**
 * The operating system refused; the code is its `errno`.
 */
#define CARRICK_E_OS -80

/**
 * Room enough for any IP address as text, and for any path of ASCII characters.
 */
#define CARRICK_ADDRESS_MAX 128

/**
 * A wait without end, as a timeout.
 */
#define CARRICK_FOREVER -1

/**
 * MD5: broken, for peers up to Python 3.11 only.
 */
#define CARRICK_DIGEST_MD5 1

/**
 * SHA-1: weak; no handshake uses it.
 */
#define CARRICK_DIGEST_SHA1 2

/**
 * SHA-256.
 */
#define CARRICK_DIGEST_SHA256 3

/**
 * SHA-384.
 */
#define CARRICK_DIGEST_SHA384 4

/**
 * SHA-512.
 */
#define CARRICK_DIGEST_SHA512 5

/**
 * SHA3-256.
 */
#define CARRICK_DIGEST_SHA3_256 6

/**
 * SHA3-384.
 */
#define CARRICK_DIGEST_SHA3_384 7

/**
 * The longest digest in bytes.
 */
#define CARRICK_DIGEST_MAX 64

/**
 * The mutual handshake of Python's multiprocessing.connection.
 */
#define CARRICK_SCHEME_MULTIPROCESSING 0

/**
 * The course's: 32 random bytes raw to the client, its raw digest back.
 */
#define CARRICK_SCHEME_COURSE 1

/**
 * The end that accepted.
 */
#define CARRICK_ROLE_SERVER 0

/**
 * The end that connected.
 */
#define CARRICK_ROLE_CLIENT 1

/**
 * The format of Python's multiprocessing.connection.
 */
#define CARRICK_FORMAT_MULTIPROCESSING 0

/**
 * struct.pack('i', n): 4 bytes in this machine's order, signed.
 */
#define CARRICK_FORMAT_COURSE 1

/**
 * Lengths as width, big_endian and is_signed say.
 */
#define CARRICK_FORMAT_CUSTOM 2

/**
 * Take the lock over from a holder that has died: carrick_lock_acquire returns E_OWNER_DIED, with the lock held.
 */
#define CARRICK_ON_OWNER_DEATH_TAKE_OVER 0

/**
 * Wait on: somebody else will release the lock.
 */
#define CARRICK_ON_OWNER_DEATH_WAIT 1

/**
 * SO_REUSEADDR: 0 or 1.
 */
#define CARRICK_OPTION_REUSE_ADDRESS 1

/**
 * SO_REUSEPORT: 0 or 1.
 */
#define CARRICK_OPTION_REUSE_PORT 2

/**
 * TCP_NODELAY: 0 or 1. TCP connections of carrick have it set.
 */
#define CARRICK_OPTION_TCP_NODELAY 3

/**
 * Keep-alive probes after so many nanoseconds without traffic, negative for none; reads as 0 or 1.
 */
#define CARRICK_OPTION_KEEP_ALIVE 4

/**
 * SO_SNDBUF in bytes; Linux reports twice what was asked for.
 */
#define CARRICK_OPTION_SEND_BUFFER 5

/**
 * SO_RCVBUF in bytes; Linux reports twice what was asked for.
 */
#define CARRICK_OPTION_RECV_BUFFER 6

/**
 * SO_LINGER in nanoseconds (whole seconds count), negative for none.
 */
#define CARRICK_OPTION_LINGER 7

/**
 * SO_BROADCAST: 0 or 1.
 */
#define CARRICK_OPTION_BROADCAST 8

/**
 * Something can be received or accepted, or the stream has ended.
 */
#define CARRICK_READABLE 1

/**
 * Something can be sent, or a connection was made.
 */
#define CARRICK_WRITABLE 2

/**
 * The peer has hung up, or the descriptor is in error. Only reported, never asked for.
 */
#define CARRICK_HUNG_UP 4

/**
 * The most units that a semaphore can have.
 */
#define CARRICK_SEMAPHORE_MAX 2147483647

/**
 * Connections that there is no room for wait in the kernel's queue.
 */
#define CARRICK_OVERLOAD_BLOCK 0

/**
 * Connections that there is no room for are closed at once.
 */
#define CARRICK_OVERLOAD_REJECT 1

/**
 * Handlers run one after the other.
 */
#define CARRICK_MODE_IN_TURN 0

/**
 * Handlers run side by side, on at most max_handlers threads.
 */
#define CARRICK_MODE_THREADS 1

/**
 * Each handler runs in a child process made by fork, at most max_handlers at a time.
 */
#define CARRICK_MODE_PROCESSES 2

/**
 * Place in the statistics: connections accepted, the rejected ones included.
 */
#define CARRICK_STATS_CONNECTIONS 0

/**
 * Place in the statistics: connections open now.
 */
#define CARRICK_STATS_ACTIVE 1

/**
 * Place in the statistics: connections closed at once because there was no room.
 */
#define CARRICK_STATS_REJECTED 2

/**
 * Place in the statistics: requests handled: frames, datagrams, or whole connections of a stream server.
 */
#define CARRICK_STATS_REQUESTS 3

/**
 * Place in the statistics: bytes received.
 */
#define CARRICK_STATS_BYTES_RECEIVED 4

/**
 * Place in the statistics: bytes sent.
 */
#define CARRICK_STATS_BYTES_SENT 5

/**
 * Place in the statistics: handlers that returned a negative status or panicked.
 */
#define CARRICK_STATS_FAILURES 6

/**
 * Place in the statistics: connections whose peer could not authenticate in time.
 */
#define CARRICK_STATS_AUTH_FAILURES 7

/**
 * Place in the statistics: connections cut off for breaking a limit: a frame over the cap, too slow, not reading.
 */
#define CARRICK_STATS_LIMIT_FAILURES 8

/**
 * Place in the statistics: failures of accept itself, such as no descriptors left.
 */
#define CARRICK_STATS_ACCEPT_FAILURES 9

/**
 * Place in the statistics: nanoseconds spent in handlers, of all threads together.
 */
#define CARRICK_STATS_HANDLER_NANOS 10

/**
 * The number of counters that carrick_server_stats writes today.
 */
#define CARRICK_STATS_COUNT 11

/**
 * Ends one direction: what is received from here on is the end of the stream.
 */
#define CARRICK_SHUTDOWN_READ 0

/**
 * Ends one direction: the peer receives the end of the stream.
 */
#define CARRICK_SHUTDOWN_WRITE 1

/**
 * Ends both directions.
 */
#define CARRICK_SHUTDOWN_BOTH 2

/**
 * A meeting point for a fixed number of threads and processes, again and again. A party that is killed while it waits
 * breaks the meeting for the others. A child made by fork may go on using it; another program attaches to it.
 * Thread word: ANY.
 */
typedef struct carrick_barrier carrick_barrier;

/**
 * A condition variable for threads and processes: waiting, with a lock, for what somebody else will do under it. A child
 * made by fork may go on using it; another program attaches to it. Thread word: ANY.
 */
typedef struct carrick_condition carrick_condition;

/**
 * A connection that carries frames. Senders take turns by frame, receivers too. Thread word: ANY.
 */
typedef struct carrick_connection carrick_connection;

/**
 * A datagram socket: UDP or Unix. Thread word: ANY.
 */
typedef struct carrick_datagram carrick_datagram;

/**
 * A flag for threads and processes that can be waited for. A child made by fork may go on using it; another program
 * attaches to it. Thread word: ANY.
 */
typedef struct carrick_event carrick_event;

/**
 * A process that was forked early, before the program had threads, and forks others on request: carrick_process_start
 * with it in the options. Some children are always ready, so they start fast, and they have nothing of this
 * process's threads and later memory. Thread word: ANY. A child made by fork may go on using it.
 */
typedef struct carrick_fork_server carrick_fork_server;

/**
 * Accepts connections of a listener whose handshakes run side by side. Thread word: ANY. In a child of fork it can
 * be used; the handshakes that were not finished stay the parent's.
 */
typedef struct carrick_gate carrick_gate;

/**
 * A listening TCP or Unix socket. Thread word: ANY.
 */
typedef struct carrick_listener carrick_listener;

/**
 * A lock for threads and processes. A waiter for one whose holder has died gets it within 100 ms, with E_OWNER_DIED. A
 * child made by fork may go on using it; another program attaches to it. Thread word: ANY; a recursive one is released
 * by the thread that took it.
 */
typedef struct carrick_lock carrick_lock;

/**
 * An HMAC being computed. Thread word: ANY.
 */
typedef struct carrick_mac carrick_mac;

/**
 * A set of watched descriptors. Thread word: ANY.
 */
typedef struct carrick_poller carrick_poller;

/**
 * A process that was started. Freeing it leaves the process running. Thread word: ANY. In a child of fork it is the
 * parent's still: only free it there.
 */
typedef struct carrick_process carrick_process;

/**
 * A queue of messages for threads and processes: first in, first out, any number of producers and consumers. A child
 * made by fork may go on using it; another program attaches to its descriptor. Thread word: ANY.
 */
typedef struct carrick_queue carrick_queue;

/**
 * A request in the hands of its handler: BORROWED until the handler returns. Thread word: ONE.
 */
typedef struct carrick_request carrick_request;

/**
 * A number of units for threads and processes: taking one waits until there is one. The units that a process has taken
 * are gone if it is killed. A child made by fork may go on using it; another program attaches to it. Thread word: ANY.
 */
typedef struct carrick_semaphore carrick_semaphore;

/**
 * A server. Thread word: ANY.
 */
typedef struct carrick_server carrick_server;

/**
 * A connection in the hands of its handler: BORROWED until the handler returns. Thread word: ONE.
 */
typedef struct carrick_session carrick_session;

/**
 * A connected byte stream over TCP, a Unix socket, a pipe or any other descriptor. Thread word: ANY.
 */
typedef struct carrick_stream carrick_stream;

/**
 * The result of a call: CARRICK_OK or a negative CARRICK_E_ code.
 */
typedef int32_t carrick_status;

/**
 * How to authenticate. Fill it with carrick_auth_options_init, then set the key.
 */
typedef struct carrick_auth_options {
    /**
     * The size of this struct, set by _init.
     */
    size_t struct_size;
    /**
     * The key both ends have: BORROWED for the call that gets the options.
     */
    const uint8_t *key;
    /**
     * The length of the key.
     */
    size_t key_len;
    /**
     * CARRICK_SCHEME_... (CARRICK_SCHEME_MULTIPROCESSING).
     */
    int32_t scheme;
    /**
     * The digest that challenges ask for: CARRICK_DIGEST_... (SHA256).
     */
    int32_t digest;
    /**
     * The weakest digest that is accepted (MD5: peers up to Python 3.11 may come).
     */
    int32_t min_digest;
    /**
     * How long the whole handshake may take, in nanoseconds; negative is for ever (10 s).
     */
    int64_t handshake_timeout_ns;
} carrick_auth_options;

/**
 * How frames are written. Fill it with carrick_format_init, then change what is to differ.
 */
typedef struct carrick_format {
    /**
     * The size of this struct, set by _init.
     */
    size_t struct_size;
    /**
     * CARRICK_FORMAT_...
     */
    int32_t kind;
    /**
     * Custom: the bytes of a length: 1, 2, 4 or 8 (4).
     */
    int32_t width;
    /**
     * Custom: the most significant byte first: 0 or 1 (1).
     */
    int32_t big_endian;
    /**
     * Custom: lengths are signed: 0 or 1 (0).
     */
    int32_t is_signed;
    /**
     * The longest body in bytes (64 MiB); UINT64_MAX is no cap.
     */
    uint64_t cap;
} carrick_format;

/**
 * A piece of memory to be sent: BORROWED for the call.
 */
typedef struct carrick_slice {
    /**
     * May be NULL when len is 0.
     */
    const uint8_t *data;
    /**
     * In bytes.
     */
    size_t len;
} carrick_slice;

/**
 * How a listener is set up. Fill it with carrick_listen_options_init, then change what is to differ.
 */
typedef struct carrick_listen_options {
    /**
     * The size of this struct, set by _init.
     */
    size_t struct_size;
    /**
     * How many connections may wait to be accepted (4096); the kernel caps it.
     */
    uint32_t backlog;
    /**
     * SO_REUSEADDR: 0 or 1 (1).
     */
    int32_t reuse_address;
    /**
     * SO_REUSEPORT: 0 or 1 (0).
     */
    int32_t reuse_port;
    /**
     * For an IPv6 address, leave IPv4 to others: 0 or 1 (1).
     */
    int32_t only_v6;
} carrick_listen_options;

/**
 * The kind of lock, and the policy of this handle's waits. Fill it with carrick_lock_options_init.
 */
typedef struct carrick_lock_options {
    /**
     * The size of this struct, set by _init.
     */
    size_t struct_size;
    /**
     * The thread that holds it may take it again, and alone may release it: 0 or 1 (0).
     */
    int32_t recursive;
    /**
     * CARRICK_ON_OWNER_DEATH_TAKE_OVER or _WAIT (TAKE_OVER).
     */
    int32_t on_owner_death;
} carrick_lock_options;

/**
 * A descriptor that became ready.
 */
typedef struct carrick_ready {
    /**
     * The token it was added with.
     */
    uint64_t token;
    /**
     * CARRICK_READABLE, CARRICK_WRITABLE and CARRICK_HUNG_UP, added up.
     */
    int32_t readiness;
} carrick_ready;

/**
 * A descriptor for a process, and the number that it is to have there.
 */
typedef struct carrick_descriptor {
    /**
     * The caller's: BORROWED for the call.
     */
    int32_t fd;
    /**
     * Its number in the process.
     */
    int32_t number;
} carrick_descriptor;

/**
 * How a process is started. Fill it with carrick_process_options_init.
 */
typedef struct carrick_process_options {
    /**
     * The size of this struct, set by _init.
     */
    size_t struct_size;
    /**
     * The kernel kills it when this process ends, however it does: 0 or 1 (0). A descriptor holds it: a process
     * that closes all descriptors it finds is held no longer.
     */
    int32_t daemon;
    /**
     * A channel of frames between the two: 0 or 1 (0). A function has it as an argument, a program by
     * carrick_process_parent_channel.
     */
    int32_t channel;
    /**
     * It leads a session of its own, without a terminal, for carrick_process_spawn: 0 or 1 (0).
     */
    int32_t new_session;
    /**
     * Its process group, for carrick_process_spawn: 0 is one of its own, -1 this process's, nothing less (-1).
     */
    int32_t process_group;
    /**
     * Its standard streams, for carrick_process_spawn: BORROWED for the call; -1 is this process's (-1).
     */
    int32_t stdin_fd;
    /**
     * As stdin_fd.
     */
    int32_t stdout_fd;
    /**
     * As stdin_fd.
     */
    int32_t stderr_fd;
    /**
     * Descriptors that it gets besides, for carrick_process_spawn and with a fork server: BORROWED for the call, may be
     * NULL if descriptors_len is 0.
     */
    const struct carrick_descriptor *descriptors;
    /**
     * How many (0).
     */
    size_t descriptors_len;
    /**
     * The directory that it starts in, for carrick_process_spawn: BORROWED for the call, may be NULL (this process's).
     */
    const char *directory;
    /**
     * The length of directory (0).
     */
    size_t directory_len;
    /**
     * Its environment, for carrick_process_spawn: texts "NAME=value" and NULL behind the last; BORROWED for the call,
     * may be NULL (this process's).
     */
    const char *const *environment;
    /**
     * The server that forks, for carrick_process_start: BORROWED for the call, may be NULL (this process).
     */
    const struct carrick_fork_server *server;
} carrick_process_options;

/**
 * The function that a process runs; returns its exit code, of which the lower eight bits count. Which thread: the only
 * one of a process of its own. Concurrent: no. May it block: yes. Forbidden: where the program has threads, whatever
 * needs a lock that another thread may have held when the process was started (carrick_process_start). Lifetime:
 * argument and channel until it returns; channel is NULL unless the options asked for one. Calling exit in it runs the
 * parent's exit handlers.
 */
typedef int32_t (*carrick_process_fn)(const uint8_t *argument,
                                      size_t argument_len,
                                      const struct carrick_connection *channel);

/**
 * The limits of a queue. Fill it with carrick_queue_options_init.
 */
typedef struct carrick_queue_options {
    /**
     * The size of this struct, set by _init.
     */
    size_t struct_size;
    /**
     * The most items in the queue; 0 is no limit (0).
     */
    uint64_t max_items;
    /**
     * The most bytes of bodies in the queue; 0 is no limit (0). A body over it is refused.
     */
    uint64_t max_bytes;
    /**
     * Make a descriptor that can be waited for: 0 or 1 (0).
     */
    int32_t selectable;
    /**
     * As a pipe does it: an item of any length is put as soon as fewer than max_bytes are there: 0 or 1 (0).
     */
    int32_t soft;
} carrick_queue_options;

/**
 * Has an item where it lies in the queue's memory.
 * Which thread: the one that called carrick_queue_get_in_place. Concurrent: no, other consumers of the queue wait. May it
 * block: better not, for their sake. Forbidden: to take from this queue or to close it (E_REENTRANT), to free it, to leave by
 * longjmp, by an exception or by the thread's end (pthread_cancel), to execute another program. Lifetime: data until it returns; nobody may write to it.
 */
typedef void (*carrick_item_reader_fn)(void *user_data, const uint8_t *data, size_t data_len);

/**
 * Has an item that was taken.
 * Which thread: the one that called carrick_queue_get_many. Concurrent: no. May it block: yes, nobody waits for it.
 * Forbidden: to free the queue, to leave by longjmp, by an exception or by the thread's end (pthread_cancel). Lifetime:
 * data until it returns.
 */
typedef void (*carrick_item_fn)(void *user_data, const uint8_t *data, size_t data_len);

/**
 * How a stream server works. Fill it with carrick_stream_server_options_init.
 */
typedef struct carrick_stream_server_options {
    /**
     * The size of this struct, set by _init.
     */
    size_t struct_size;
    /**
     * How its socket is set up: BORROWED for the call, may be NULL.
     */
    const struct carrick_listen_options *listen;
    /**
     * Authenticate each connection before its handler: BORROWED for the call, may be NULL (no).
     */
    const struct carrick_auth_options *auth;
    /**
     * CARRICK_MODE_... (THREADS).
     */
    int32_t mode;
    /**
     * CARRICK_OVERLOAD_... (BLOCK).
     */
    int32_t overload;
    /**
     * The most handlers at a time (256).
     */
    size_t max_handlers;
    /**
     * How long running handlers may go on after a shutdown was asked for, in nanoseconds; negative is for ever (30 s).
     */
    int64_t drain_ns;
} carrick_stream_server_options;

/**
 * Handles a connection and returns a status; a negative one is counted as a failure. The connection is closed when
 * it returns.
 * Which thread: one of the server's, or a child process. Concurrent: yes, but in turn. May it block: yes. Forbidden:
 * freeing the server or waiting for it (E_REENTRANT). Lifetime: session until it returns.
 */
typedef carrick_status (*carrick_stream_handler_fn)(void *user_data, const struct carrick_session *session);

/**
 * Called once when the server lets go of user_data. It may be NULL.
 * Which thread: the one that frees the server or ends serving. May it block: better not.
 */
typedef void (*carrick_drop_fn)(void *user_data);

/**
 * How a message server works. Fill it with carrick_message_server_options_init.
 */
typedef struct carrick_message_server_options {
    /**
     * The size of this struct, set by _init.
     */
    size_t struct_size;
    /**
     * How its socket is set up: BORROWED for the call, may be NULL.
     */
    const struct carrick_listen_options *listen;
    /**
     * Authenticate each connection before its first request: BORROWED for the call, may be NULL (no).
     */
    const struct carrick_auth_options *auth;
    /**
     * The frames it speaks: BORROWED for the call, may be NULL (multiprocessing, 64 MiB).
     */
    const struct carrick_format *format;
    /**
     * The most connections at a time (100,000).
     */
    size_t max_connections;
    /**
     * The bytes of replies that may wait for a client before no more of its requests are read (1 MiB).
     */
    size_t max_unsent;
    /**
     * The most threads that slow handlers may take at a time (64).
     */
    size_t max_threads;
    /**
     * How long a request may take from its first byte to its last, in nanoseconds; negative is for ever (30 s).
     */
    int64_t request_timeout_ns;
    /**
     * How long a connection may be without a request, in nanoseconds; negative is for ever (for ever).
     */
    int64_t idle_timeout_ns;
    /**
     * How long requests under way may take after a shutdown was asked for (30 s).
     */
    int64_t drain_ns;
    /**
     * CARRICK_OVERLOAD_... (BLOCK).
     */
    int32_t overload;
} carrick_message_server_options;

/**
 * Handles a request, whose body is data; returns a status: a negative one ends the connection and is counted as a
 * failure. Which thread: one of the server's. Concurrent: yes, for different connections. May it block: yes, others
 * are served meanwhile. Forbidden: freeing the server or waiting for it. Lifetime: request and data until it returns.
 */
typedef carrick_status (*carrick_message_handler_fn)(void *user_data,
                                                     const struct carrick_request *request,
                                                     const uint8_t *data,
                                                     size_t data_len);

/**
 * Handles a datagram; writes at most reply_cap bytes to reply and their number to *reply_len, which is SIZE_MAX
 * before: left so, nothing is sent back. Returns a status; a negative one is counted as a failure.
 * Which thread: the serving one. Concurrent: no. May it block: it holds up the others. Forbidden: freeing the server
 * or waiting for it (E_REENTRANT). Lifetime: all pointers until it returns; peer is text of peer_len bytes.
 */
typedef carrick_status (*carrick_datagram_handler_fn)(void *user_data,
                                                      const uint8_t *data,
                                                      size_t data_len,
                                                      const char *peer,
                                                      size_t peer_len,
                                                      uint8_t *reply,
                                                      size_t reply_cap,
                                                      size_t *reply_len);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the interface; it changes when the interface becomes incompatible. ANY thread. Since 0.1.
 */
uint32_t carrick_abi_version(void);

/**
 * The version of the library, such as "0.1.0": static text. ANY thread. Since 0.1.
 */
const char *carrick_version(void);

/**
 * The name of a status, such as "CARRICK_E_TIMEOUT": static text, for any integer. ANY thread. Since 0.1.
 */
const char *carrick_status_name(int32_t status);

/**
 * One phrase on what a status means: static text, for any integer. ANY thread. Since 0.1.
 */
const char *carrick_status_text(int32_t status);

/**
 * The cause of the last failing call of this thread, with the values involved; empty before any. It
 * holds no byte of a key. Writes text without a final zero.
 * Codes: E_BUFFER (out_len has the length needed), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_last_error(char *buffer, size_t buffer_cap, size_t *out_len);

/**
 * The errno behind the last failing call of this thread, 0 where it had none. ANY thread. Since 0.1.
 */
int32_t carrick_last_os_error(void);

/**
 * The number of a digest by its name, such as "sha256".
 * Codes: E_UNKNOWN_DIGEST, E_INVALID, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_digest_from_name(const char *name, size_t name_len, int32_t *out_digest);

/**
 * The length of a digest in bytes.
 * Codes: E_UNKNOWN_DIGEST, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_digest_size(int32_t digest, size_t *out_size);

/**
 * The HMAC (RFC 2104) of one message. A buffer of CARRICK_DIGEST_MAX bytes is always enough.
 * Codes: E_UNKNOWN_DIGEST, E_BUFFER (out_len has the length needed), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_hmac(int32_t digest,
                            const uint8_t *key,
                            size_t key_len,
                            const uint8_t *message,
                            size_t message_len,
                            uint8_t *buffer,
                            size_t buffer_cap,
                            size_t *out_len);

/**
 * Starts an HMAC that is fed piece by piece; out_mac is OWNED.
 * Codes: E_UNKNOWN_DIGEST, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_mac_new(int32_t digest,
                               const uint8_t *key,
                               size_t key_len,
                               struct carrick_mac **out_mac);

/**
 * Adds to the message.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_mac_update(const struct carrick_mac *mac, const uint8_t *data, size_t data_len);

/**
 * Writes the tag of the message so far; more may be added after it.
 * Codes: E_BUFFER (out_len has the length needed), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_mac_finish(const struct carrick_mac *mac,
                                  uint8_t *buffer,
                                  size_t buffer_cap,
                                  size_t *out_len);

/**
 * A copy that goes on by itself, OWNED.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_mac_copy(const struct carrick_mac *mac, struct carrick_mac **out_mac);

/**
 * Frees an HMAC. NULL does nothing. Since 0.1.
 */
void carrick_mac_free(struct carrick_mac *mac);

/**
 * Whether two byte strings are equal, 0 or 1, in a time that depends on their lengths only.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_compare_digest(const uint8_t *left,
                                      size_t left_len,
                                      const uint8_t *right,
                                      size_t right_len,
                                      int32_t *out_equal);

/**
 * Fills the options with the defaults.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_auth_options_init(struct carrick_auth_options *out_options);

/**
 * Makes a barrier for so many parties. out_barrier is OWNED.
 * Codes: E_INVALID (no party), E_NOMEMORY, E_OS (EMFILE, ...), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_barrier_new(uint32_t parties, struct carrick_barrier **out_barrier);

/**
 * Makes a barrier for so many parties, with a name: 1 to 200 letters, digits and any of '.', '_', '-', the first one not '.'. Other
 * programs of the same user open it (carrick_name_open, carrick_barrier_attach) until carrick_name_remove.
 * out_barrier is OWNED.
 * Codes: E_INVALID (no such name is possible, or no party), E_NOMEMORY (or /dev/shm is full), E_OS (EEXIST: there is one of this name; EMFILE, ...), E_NULL.
 * ANY thread. Since 0.1.
 */
carrick_status carrick_barrier_create(const char *name,
                                      size_t name_len,
                                      uint32_t parties,
                                      struct carrick_barrier **out_barrier);

/**
 * The barrier that another process made: what its carrick_barrier_place gave. fd is BORROWED
 * for the call, for many share one. out_barrier is OWNED.
 * Codes: E_INVALID (something else is there, or one of another version), E_CORRUPT, E_NOMEMORY, E_OS (EBADF), E_NULL.
 * ANY thread. Since 0.1.
 */
carrick_status carrick_barrier_attach(int32_t fd,
                                      uint32_t slot,
                                      struct carrick_barrier **out_barrier);

/**
 * The place of the barrier for carrick_barrier_attach in another process: a descriptor, BORROWED until the barrier is
 * freed, to be inherited or sent over a Unix socket, and a number. Many share a descriptor. It is close-on-exec.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_barrier_place(const struct carrick_barrier *barrier,
                                     int32_t *out_fd,
                                     uint32_t *out_slot);

/**
 * Waits until all parties have arrived; out_turn is the caller's place in the order of arrival, from 0.
 * Codes: E_TIMEOUT and, with timeout 0, E_TIMEOUT at once (the meeting is broken for all, and the barrier until it is
 * reset), E_BROKEN (another party gave up or died, or the barrier was reset or aborted), E_INTERRUPTED (the caller does
 * not wait any more, the others do), E_CORRUPT, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_barrier_wait(const struct carrick_barrier *barrier,
                                    int64_t timeout_ns,
                                    uint32_t *out_turn);

/**
 * Ends the present meeting, which is broken for those who wait, and makes the barrier fit for the next one.
 * Codes: E_INTERRUPTED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_barrier_reset(const struct carrick_barrier *barrier);

/**
 * Breaks the barrier for all, until it is reset.
 * Codes: E_INTERRUPTED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_barrier_abort(const struct carrick_barrier *barrier);

/**
 * Whether the barrier is broken, at this moment: 1 or 0.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_barrier_is_broken(const struct carrick_barrier *barrier, int32_t *out_is_broken);

/**
 * How many meet.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_barrier_parties(const struct carrick_barrier *barrier, uint32_t *out_parties);

/**
 * How many have arrived, at this moment.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_barrier_waiting(const struct carrick_barrier *barrier, uint32_t *out_waiting);

/**
 * Frees this process's handle of a barrier; for others it goes on. NULL does nothing. Nobody else may be inside a call on
 * it. Since 0.1.
 */
void carrick_barrier_free(struct carrick_barrier *barrier);

/**
 * Makes a condition that nobody waits for. out_condition is OWNED.
 * Codes: E_NOMEMORY, E_OS (EMFILE, ...), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_condition_new(struct carrick_condition **out_condition);

/**
 * Makes a condition that nobody waits for, with a name: 1 to 200 letters, digits and any of '.', '_', '-', the first one not '.'. Other
 * programs of the same user open it (carrick_name_open, carrick_condition_attach) until carrick_name_remove.
 * out_condition is OWNED.
 * Codes: E_INVALID (no such name is possible), E_NOMEMORY (or /dev/shm is full), E_OS (EEXIST: there is one of this name; EMFILE, ...), E_NULL.
 * ANY thread. Since 0.1.
 */
carrick_status carrick_condition_create(const char *name,
                                        size_t name_len,
                                        struct carrick_condition **out_condition);

/**
 * The condition that another process made: what its carrick_condition_place gave. fd is BORROWED
 * for the call, for many share one. out_condition is OWNED.
 * Codes: E_INVALID (something else is there, or one of another version), E_CORRUPT, E_NOMEMORY, E_OS (EBADF), E_NULL.
 * ANY thread. Since 0.1.
 */
carrick_status carrick_condition_attach(int32_t fd,
                                        uint32_t slot,
                                        struct carrick_condition **out_condition);

/**
 * The place of the condition for carrick_condition_attach in another process: a descriptor, BORROWED until the
 * condition is freed, to be inherited or sent over a Unix socket, and a number. Many share a descriptor. It is
 * close-on-exec.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_condition_place(const struct carrick_condition *condition,
                                       int32_t *out_fd,
                                       uint32_t *out_slot);

/**
 * Lets the lock go, which the caller holds and which is BORROWED for the call, waits for a notification and takes the
 * lock again, whatever the result. More than 1,020 waiters may see one that is another one's: wait in a loop.
 * Codes: E_TIMEOUT, E_INTERRUPTED, E_OWNER_DIED (the wait is over; the lock came from a holder that died), E_STATE or
 * E_INVALID (the lock is not held), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_condition_wait(const struct carrick_condition *condition,
                                      const struct carrick_lock *lock,
                                      int64_t timeout_ns);

/**
 * Wakes up to count of those who wait, the one that has waited longest first. Call it with the lock held.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_condition_notify(const struct carrick_condition *condition, size_t count);

/**
 * Wakes all who wait. Call it with the lock held.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_condition_notify_all(const struct carrick_condition *condition);

/**
 * Frees this process's handle of a condition; for others it goes on. NULL does nothing. Nobody else may be inside a call on
 * it. Since 0.1.
 */
void carrick_condition_free(struct carrick_condition *condition);

/**
 * Fills a format with the defaults of multiprocessing; set kind to change it.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_format_init(struct carrick_format *out_format);

/**
 * Connects and, if auth is not NULL, authenticates. format may be NULL (multiprocessing). out_connection is OWNED.
 * Codes: E_INVALID, E_VERSION, E_UNKNOWN_DIGEST, E_TIMEOUT, E_AUTH_FAILED, E_INTERRUPTED, E_OS (ECONNREFUSED, ...), E_NULL.
 * ANY thread. Since 0.1.
 */
carrick_status carrick_connection_connect(const char *address,
                                          size_t address_len,
                                          const struct carrick_format *format,
                                          const struct carrick_auth_options *auth,
                                          int64_t timeout_ns,
                                          struct carrick_connection **out_connection);

/**
 * Frames over a stream. The stream handle stays the caller's, who frees it as ever; both share the connection.
 * format may be NULL (multiprocessing). out_connection is OWNED.
 * Codes: E_INVALID, E_VERSION, E_CLOSED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_connection_new(const struct carrick_stream *stream,
                                      const struct carrick_format *format,
                                      struct carrick_connection **out_connection);

/**
 * Authenticates a fresh connection before its first frame; role says which end this is (CARRICK_ROLE_...).
 * After an error close it.
 * Codes: E_AUTH_FAILED, E_TIMEOUT, E_INVALID, E_UNKNOWN_DIGEST, E_VERSION, E_CLOSED, E_INTERRUPTED, E_OS, E_NULL.
 * ANY thread. Since 0.1.
 */
carrick_status carrick_connection_authenticate(const struct carrick_connection *connection,
                                               int32_t role,
                                               const struct carrick_auth_options *auth);

/**
 * Sends one frame. With timeout 0 it is taken whole (what the kernel does not take now leaves with the next send
 * or flush) or refused with E_WOULD_BLOCK.
 * Codes: E_FRAME_TOO_LARGE (nothing was sent), E_TIMEOUT and E_INTERRUPTED (nothing was sent if
 * carrick_connection_pending is 0, otherwise the rest leaves first with the next call: do not send it again),
 * E_WOULD_BLOCK, E_CLOSED, E_OS (EPIPE), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_connection_send(const struct carrick_connection *connection,
                                       const uint8_t *data,
                                       size_t data_len,
                                       int64_t timeout_ns);

/**
 * Sends one frame whose body is the slices one after the other.
 * Codes: as carrick_connection_send. ANY thread. Since 0.1.
 */
carrick_status carrick_connection_send_vectored(const struct carrick_connection *connection,
                                                const struct carrick_slice *parts,
                                                size_t parts_len,
                                                int64_t timeout_ns);

/**
 * Sends what is left of a frame that was begun.
 * Codes: E_TIMEOUT, E_WOULD_BLOCK, E_CLOSED, E_INTERRUPTED, E_OS, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_connection_flush(const struct carrick_connection *connection, int64_t timeout_ns);

/**
 * How many bytes of a frame that was begun have not left yet.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_connection_pending(const struct carrick_connection *connection, size_t *out_pending);

/**
 * Waits for the next frame and tells its length; the frame stays for the next receive.
 * Codes: as carrick_connection_recv_into. ANY thread. Since 0.1.
 */
carrick_status carrick_connection_next_length(const struct carrick_connection *connection,
                                              int64_t timeout_ns,
                                              uint64_t *out_len);

/**
 * Receives one frame into the caller's memory.
 * Codes: E_EOF (the peer closed between frames), E_BAD_FRAME (inside one), E_FRAME_TOO_LARGE, E_BUFFER (out_len has
 * the length needed; the frame stays), E_TIMEOUT, E_WOULD_BLOCK and E_INTERRUPTED (what has arrived is kept),
 * E_CLOSED, E_OS, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_connection_recv_into(const struct carrick_connection *connection,
                                            uint8_t *buffer,
                                            size_t buffer_cap,
                                            int64_t timeout_ns,
                                            size_t *out_len);

/**
 * Receives one frame into memory of the library: *out_data is OWNED, free it with carrick_bytes_free.
 * Codes: as carrick_connection_recv_into, and E_NOMEMORY. ANY thread. Since 0.1.
 */
carrick_status carrick_connection_recv(const struct carrick_connection *connection,
                                       int64_t timeout_ns,
                                       uint8_t **out_data,
                                       size_t *out_len);

/**
 * Frees what carrick_connection_recv or carrick_queue_get gave, with the length it gave. NULL does nothing. Since 0.1.
 */
void carrick_bytes_free(uint8_t *data,
                        size_t data_len);

/**
 * A stream handle for the same connection, OWNED: for its addresses, options and descriptor.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_connection_stream(const struct carrick_connection *connection,
                                         struct carrick_stream **out_stream);

/**
 * Closes; calls that wait on it in other threads end with CARRICK_E_CLOSED. Does nothing the second time.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_connection_close(const struct carrick_connection *connection);

/**
 * Frees a connection; the descriptor is closed when no stream handle shares it either. NULL does nothing. Nobody
 * else may be inside a call on it: close first, then join them. Since 0.1.
 */
void carrick_connection_free(struct carrick_connection *connection);

/**
 * Binds a datagram socket; port 0 lets the kernel choose. out_datagram is OWNED.
 * Codes: E_INVALID, E_OS (EADDRINUSE, ...), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_datagram_bind(const char *address,
                                     size_t address_len,
                                     struct carrick_datagram **out_datagram);

/**
 * Makes a datagram socket of the family of a peer's address, with no address of its own yet. OWNED.
 * Codes: E_INVALID, E_OS, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_datagram_unbound(const char *peer,
                                        size_t peer_len,
                                        struct carrick_datagram **out_datagram);

/**
 * Adopts a datagram socket. The descriptor is CONSUMED (a duplicate is used); out_datagram is OWNED.
 * Codes: E_INVALID, E_OS (EBADF, ENOTSOCK), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_datagram_from_fd(int32_t fd, struct carrick_datagram **out_datagram);

/**
 * Sends one datagram, which may be empty.
 * Codes: E_INVALID (address), E_TIMEOUT, E_WOULD_BLOCK, E_CLOSED, E_INTERRUPTED, E_OS (EMSGSIZE: over 65,507
 * bytes on IPv4), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_datagram_send_to(const struct carrick_datagram *datagram,
                                        const uint8_t *data,
                                        size_t data_len,
                                        const char *address,
                                        size_t address_len,
                                        int64_t timeout_ns);

/**
 * Receives one datagram and writes its sender's address as text; an address buffer of (NULL, 0, NULL) leaves the
 * sender out.
 * Codes: E_BUFFER (the datagram, or the address, is longer than its buffer and lost), E_TIMEOUT, E_WOULD_BLOCK,
 * E_CLOSED, E_INTERRUPTED, E_OS, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_datagram_recv_from(const struct carrick_datagram *datagram,
                                          uint8_t *buffer,
                                          size_t buffer_cap,
                                          int64_t timeout_ns,
                                          size_t *out_len,
                                          char *address_buffer,
                                          size_t address_cap,
                                          size_t *out_address_len);

/**
 * Sets an option (CARRICK_OPTION_...).
 * Codes: E_INVALID (unknown option, bad value), E_OS, E_CLOSED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_datagram_set_option(const struct carrick_datagram *datagram,
                                           int32_t option,
                                           int64_t value);

/**
 * Reads an option (CARRICK_OPTION_...).
 * Codes: E_INVALID (unknown option), E_OS, E_CLOSED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_datagram_get_option(const struct carrick_datagram *datagram,
                                           int32_t option,
                                           int64_t *out_value);

/**
 * Writes the address of this end as text, without a final zero.
 * Codes: E_BUFFER (out_len has the length needed), E_OS, E_CLOSED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_datagram_local_address(const struct carrick_datagram *datagram,
                                              char *buffer,
                                              size_t buffer_cap,
                                              size_t *out_len);

/**
 * The number of the descriptor, for polling by other means: BORROWED until close.
 * Codes: E_CLOSED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_datagram_fd(const struct carrick_datagram *datagram, int32_t *out_fd);

/**
 * Closes; calls that wait on it in other threads end with CARRICK_E_CLOSED. Does nothing the second time.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_datagram_close(const struct carrick_datagram *datagram);

/**
 * Closes and frees. NULL does nothing. Nobody else may be inside a call on it: close first, then join them.
 * Since 0.1.
 */
void carrick_datagram_free(struct carrick_datagram *datagram);

/**
 * Makes an event that is not set. out_event is OWNED.
 * Codes: E_NOMEMORY, E_OS (EMFILE, ...), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_event_new(struct carrick_event **out_event);

/**
 * Makes an event that is not set, with a name: 1 to 200 letters, digits and any of '.', '_', '-', the first one not '.'. Other
 * programs of the same user open it (carrick_name_open, carrick_event_attach) until carrick_name_remove.
 * out_event is OWNED.
 * Codes: E_INVALID (no such name is possible), E_NOMEMORY (or /dev/shm is full), E_OS (EEXIST: there is one of this name; EMFILE, ...), E_NULL.
 * ANY thread. Since 0.1.
 */
carrick_status carrick_event_create(const char *name,
                                    size_t name_len,
                                    struct carrick_event **out_event);

/**
 * The event that another process made: what its carrick_event_place gave. fd is BORROWED
 * for the call, for many share one. out_event is OWNED.
 * Codes: E_INVALID (something else is there, or one of another version), E_CORRUPT, E_NOMEMORY, E_OS (EBADF), E_NULL.
 * ANY thread. Since 0.1.
 */
carrick_status carrick_event_attach(int32_t fd,
                                    uint32_t slot,
                                    struct carrick_event **out_event);

/**
 * The place of the event for carrick_event_attach in another process: a descriptor, BORROWED until the event is
 * freed, to be inherited or sent over a Unix socket, and a number. Many share a descriptor. It is close-on-exec.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_event_place(const struct carrick_event *event,
                                   int32_t *out_fd,
                                   uint32_t *out_slot);

/**
 * Sets the event: all who wait go on, and nobody waits until it is cleared.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_event_set(const struct carrick_event *event);

/**
 * Clears the event.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_event_clear(const struct carrick_event *event);

/**
 * Whether the event is set, at this moment: 1 or 0.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_event_is_set(const struct carrick_event *event, int32_t *out_is_set);

/**
 * Waits until the event is set.
 * Codes: E_WOULD_BLOCK (only with timeout 0), E_TIMEOUT, E_INTERRUPTED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_event_wait(const struct carrick_event *event, int64_t timeout_ns);

/**
 * Frees this process's handle of an event; for others it goes on. NULL does nothing. Nobody else may be inside a call on
 * it. Since 0.1.
 */
void carrick_event_free(struct carrick_event *event);

/**
 * Forks the server. Call it before the program has threads: what carrick_process_start says of forks holds for its
 * children, too. It ends with the last process that has it. out_fork_server is OWNED.
 * Codes: E_NOMEMORY, E_OS (EAGAIN, EMFILE, ...), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_fork_server_new(struct carrick_fork_server **out_fork_server);

/**
 * Lets the server go; processes that it has forked go on. Nobody else may be inside. NULL does nothing. Since 0.1.
 */
void carrick_fork_server_free(struct carrick_fork_server *fork_server);

/**
 * Makes a gate, OWNED; options are BORROWED for the call. Their deadline is that of each handshake.
 * Codes: E_INVALID, E_VERSION, E_UNKNOWN_DIGEST, E_OS (EMFILE), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_gate_new(const struct carrick_auth_options *options, struct carrick_gate **out_gate);

/**
 * Takes the next connection of the listener, BORROWED for the call, that has proved itself; out_stream is OWNED.
 * A client that says nothing until its handshake's deadline is closed, and holds up nobody meanwhile. After
 * E_AUTH_FAILED (a client has another key, broke the exchange or hung up) the next call goes on with the others.
 * Codes: E_AUTH_FAILED, E_TIMEOUT, E_WOULD_BLOCK, E_CLOSED, E_INTERRUPTED, E_OS (EMFILE: the connection stays in
 * the queue), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_gate_accept(const struct carrick_gate *gate,
                                   const struct carrick_listener *listener,
                                   int64_t timeout_ns,
                                   struct carrick_stream **out_stream);

/**
 * Frees a gate and closes the connections whose handshakes were not finished. NULL does nothing. Nobody else may
 * be inside. Since 0.1.
 */
void carrick_gate_free(struct carrick_gate *gate);

/**
 * Fills the options with the defaults.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_listen_options_init(struct carrick_listen_options *out_options);

/**
 * Binds and listens; options may be NULL. out_listener is OWNED. The path of a Unix socket is removed when the
 * process that bound it closes it.
 * Codes: E_INVALID, E_VERSION, E_OS (EADDRINUSE, EACCES, ...), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_listener_bind(const char *address,
                                     size_t address_len,
                                     const struct carrick_listen_options *options,
                                     struct carrick_listener **out_listener);

/**
 * Adopts a listening socket, whose flags are left alone: other processes may have it, too. On one that blocks, an accept whose
 * connection another process has just taken waits past its timeout; a close or a stop ends that wait, by SIGURG to the
 * thread (a handler that does nothing is set, unless the program has one). The descriptor is CONSUMED (a duplicate is
 * used); out_listener is OWNED.
 * Codes: E_INVALID, E_OS (EBADF, ENOTSOCK), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_listener_from_fd(int32_t fd,
                                        struct carrick_listener **out_listener);

/**
 * Takes the next connection, OWNED; carrick_stream_peer_address tells where it comes from.
 * Codes: E_TIMEOUT, E_WOULD_BLOCK, E_CLOSED, E_INTERRUPTED, E_OS (EMFILE: the connection stays in the queue),
 * E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_listener_accept(const struct carrick_listener *listener,
                                       int64_t timeout_ns,
                                       struct carrick_stream **out_stream);

/**
 * Sets an option (CARRICK_OPTION_...).
 * Codes: E_INVALID (unknown option, bad value), E_OS, E_CLOSED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_listener_set_option(const struct carrick_listener *listener,
                                           int32_t option,
                                           int64_t value);

/**
 * Reads an option (CARRICK_OPTION_...).
 * Codes: E_INVALID (unknown option), E_OS, E_CLOSED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_listener_get_option(const struct carrick_listener *listener,
                                           int32_t option,
                                           int64_t *out_value);

/**
 * Writes the address of this end as text, without a final zero.
 * Codes: E_BUFFER (out_len has the length needed), E_OS, E_CLOSED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_listener_local_address(const struct carrick_listener *listener,
                                              char *buffer,
                                              size_t buffer_cap,
                                              size_t *out_len);

/**
 * The number of the descriptor, for polling by other means: BORROWED until close.
 * Codes: E_CLOSED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_listener_fd(const struct carrick_listener *listener, int32_t *out_fd);

/**
 * Closes; calls that wait on it in other threads end with CARRICK_E_CLOSED. Does nothing the second time.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_listener_close(const struct carrick_listener *listener);

/**
 * Closes and frees. NULL does nothing. Nobody else may be inside a call on it: close first, then join them.
 * Since 0.1.
 */
void carrick_listener_free(struct carrick_listener *listener);

/**
 * Fills lock options with the defaults.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_lock_options_init(struct carrick_lock_options *out_options);

/**
 * Makes a free lock. options may be NULL (a plain one). out_lock is OWNED.
 * Codes: E_INVALID, E_VERSION, E_NOMEMORY, E_OS (EMFILE, ...), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_lock_new(const struct carrick_lock_options *options, struct carrick_lock **out_lock);

/**
 * Makes a free lock, with a name: 1 to 200 letters, digits and any of '.', '_', '-', the first one not '.'. Other
 * programs of the same user open it (carrick_name_open, carrick_lock_attach) until carrick_name_remove.
 * options may be NULL (a plain one).
 * out_lock is OWNED.
 * Codes: E_INVALID (also: no such name is possible), E_VERSION, E_NOMEMORY (or /dev/shm is full), E_OS (EEXIST: there is one of this name; EMFILE, ...), E_NULL.
 * ANY thread. Since 0.1.
 */
carrick_status carrick_lock_create(const char *name,
                                   size_t name_len,
                                   const struct carrick_lock_options *options,
                                   struct carrick_lock **out_lock);

/**
 * The lock that another process made: what its carrick_lock_place gave. fd is BORROWED
 * for the call, for many share one. options may be NULL (a plain
 * one); recursive is to be as it was made. out_lock is OWNED.
 * Codes: E_INVALID (something else is there, or one of another kind or version), E_CORRUPT, E_VERSION, E_NOMEMORY, E_OS
 * (EBADF), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_lock_attach(int32_t fd,
                                   uint32_t slot,
                                   const struct carrick_lock_options *options,
                                   struct carrick_lock **out_lock);

/**
 * The place of the lock for carrick_lock_attach in another process: a descriptor, BORROWED until the lock is
 * freed, to be inherited or sent over a Unix socket, and a number. Many share a descriptor. It is close-on-exec.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_lock_place(const struct carrick_lock *lock,
                                  int32_t *out_fd,
                                  uint32_t *out_slot);

/**
 * Takes the lock, waiting for it. E_OWNER_DIED says that it IS taken, from a holder that died: what it guards may be half
 * changed.
 * Codes: E_OWNER_DIED, E_WOULD_BLOCK (only with timeout 0), E_TIMEOUT, E_INTERRUPTED, E_STATE (recursive: taken 2^32
 * times), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_lock_acquire(const struct carrick_lock *lock,
                                    int64_t timeout_ns);

/**
 * Gives the lock up, whichever thread or process holds it; a recursive one is given up by its holder, as often as it was
 * taken.
 * Codes: E_INVALID (it is free), E_STATE (recursive: the calling thread does not hold it), E_NULL. ANY thread.
 * Since 0.1.
 */
carrick_status carrick_lock_release(const struct carrick_lock *lock);

/**
 * Whether somebody holds the lock, at this moment: 1 or 0. A holder that has died holds it still.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_lock_is_locked(const struct carrick_lock *lock, int32_t *out_is_locked);

/**
 * The number of the process that holds the lock, at this moment, or 0 if nobody does. A holder that has died holds it
 * still: the kernel may know no process of that number, or another one that has it now.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_lock_holder(const struct carrick_lock *lock,
                                   int32_t *out_pid);

/**
 * Frees this process's handle of a lock; for others it goes on. NULL does nothing. Nobody else may be inside a call on
 * it. Since 0.1.
 */
void carrick_lock_free(struct carrick_lock *lock);

/**
 * The descriptor, OWNED (close it), of what a program of the same user gave this name with a _create function of
 * carrick_queue, carrick_lock, carrick_semaphore, carrick_condition, carrick_event or carrick_barrier: for the _attach
 * function of the same type, with slot 0 and without a bell. It is close-on-exec.
 * Codes: E_INVALID (no such name is possible), E_OS (ENOENT: nothing has this name; EACCES: it is another user's, or
 * others may open it; ELOOP, EISDIR, ENXIO, EACCES: it is a symbolic link, a directory, a socket, a pipe; EMFILE, ...),
 * E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_name_open(const char *name,
                                 size_t name_len,
                                 int32_t *out_fd);

/**
 * Takes a name away. A process that has the named object keeps it, and the name can be given again. Names that nobody
 * takes away stay until the machine starts again.
 * Codes: E_INVALID (no such name is possible), E_OS (ENOENT: nothing has this name; ...), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_name_remove(const char *name,
                                   size_t name_len);

/**
 * Makes an empty poller, OWNED. In a child of fork its functions return E_FORKED, but for wake and free.
 * Codes: E_OS (EMFILE), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_poller_new(struct carrick_poller **out_poller);

/**
 * Watches a descriptor, which is BORROWED until it is removed, and reports it as token.
 * Codes: E_INVALID (token 2^64 - 1, readiness), E_OS (EEXIST, EBADF, EPERM: a plain file), E_NULL. ANY thread.
 * Since 0.1.
 */
carrick_status carrick_poller_add(const struct carrick_poller *poller,
                                  int32_t fd,
                                  uint64_t token,
                                  int32_t readiness);

/**
 * Changes what a watched descriptor is watched for.
 * Codes: E_INVALID, E_OS (ENOENT: not watched), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_poller_modify(const struct carrick_poller *poller, int32_t fd, int32_t readiness);

/**
 * Stops watching a descriptor.
 * Codes: E_OS (ENOENT: not watched), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_poller_remove(const struct carrick_poller *poller, int32_t fd);

/**
 * Waits until something is ready and writes up to ready_cap reports; out_count is 0 when the time passed or
 * carrick_poller_wake was called.
 * Codes: E_INVALID (ready_cap 0), E_INTERRUPTED, E_OS, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_poller_wait(const struct carrick_poller *poller,
                                   struct carrick_ready *ready,
                                   size_t ready_cap,
                                   int64_t timeout_ns,
                                   size_t *out_count);

/**
 * Makes the wait that is running, or else the next one, return at once.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_poller_wake(const struct carrick_poller *poller);

/**
 * Frees a poller; the descriptors it watched stay open. NULL does nothing. Nobody else may be inside. Since 0.1.
 */
void carrick_poller_free(struct carrick_poller *poller);

/**
 * Fills process options with the defaults.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_process_options_init(struct carrick_process_options *out_options);

/**
 * Runs a function in a process of its own: a fork of this one, or, with a fork server in the options, of that one. The
 * function gets a copy of the argument. A fork has a copy of this process's memory and descriptors, but of its
 * threads only the caller's; a lock that another thread held, such as that of malloc'd memory of other libraries or of
 * stdio, may be held for ever there, so a program with threads takes a fork server. The process ends without exit
 * handlers; stdio is flushed. options may be NULL. out_process is OWNED.
 * Codes: E_INVALID, E_VERSION, E_STATE (a daemon, and no /proc), E_CLOSED (the fork server was killed), E_WORKER_DIED (its children die first), E_NOMEMORY, E_OS (EAGAIN,
 * EMFILE, ...), E_INTERRUPTED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_process_start(carrick_process_fn function,
                                     const uint8_t *argument,
                                     size_t argument_len,
                                     const struct carrick_process_options *options,
                                     struct carrick_process **out_process);

/**
 * Starts a program: arguments[0], found as a shell finds it, with the arguments, of which NULL is behind the last one.
 * options may be NULL. out_process is OWNED.
 * Codes: E_INVALID, E_VERSION, E_NOMEMORY, E_OS (ENOENT or EACCES: the program or the directory, the message says which;
 * EPERM: the process group; EAGAIN, EMFILE, EBADF, ...), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_process_spawn(const char *const *arguments,
                                     const struct carrick_process_options *options,
                                     struct carrick_process **out_process);

/**
 * Waits for the end of the process. out_exit_code is its exit code, the negative number of the signal that killed it, or
 * 255 when nobody can tell: its fork server died first, or somebody else waited for it. May be called again.
 * Codes: E_TIMEOUT, E_WOULD_BLOCK (timeout_ns is 0 and it runs), E_INTERRUPTED, E_OS, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_process_join(const struct carrick_process *process,
                                    int64_t timeout_ns,
                                    int32_t *out_exit_code);

/**
 * Whether the process runs: out_alive is 1 or 0.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_process_is_alive(const struct carrick_process *process, int32_t *out_alive);

/**
 * Asks the process to end (SIGTERM). One that has ended is left in peace.
 * Codes: E_OS (EPERM), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_process_terminate(const struct carrick_process *process);

/**
 * Ends the process (SIGKILL). One that has ended is left in peace.
 * Codes: E_OS (EPERM), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_process_kill(const struct carrick_process *process);

/**
 * Sends a signal, by its number in signal.h. One that has ended is left in peace.
 * Codes: E_OS (EINVAL: no such signal; EPERM), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_process_signal(const struct carrick_process *process, int32_t signal);

/**
 * The number of the process.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_process_pid(const struct carrick_process *process, int32_t *out_pid);

/**
 * A descriptor that is readable when the process has ended, for poll, epoll or a carrick_poller: BORROWED until the
 * process is freed. Do not read from it.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_process_fd(const struct carrick_process *process,
                                  int32_t *out_fd);

/**
 * Takes the channel to the process, which can be done once: out_connection is OWNED, and has the format
 * multiprocessing.
 * Codes: E_STATE (none was asked for, or it was taken), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_process_take_channel(const struct carrick_process *process,
                                            struct carrick_connection **out_connection);

/**
 * The channel to the program that started this one with options.channel, which can be had once: out_connection is OWNED,
 * and has the format multiprocessing. The variable of the environment CARRICK_CHANNEL has the number of its descriptor,
 * which from here on is closed on exec.
 * Codes: E_STATE (the parent gave none, or it was taken), E_INVALID (the variable holds no number, or that of something
 * else), E_OS (EBADF: no descriptor of that number is open), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_process_parent_channel(struct carrick_connection **out_connection);

/**
 * Frees the handle; the process goes on, and leaves no zombie behind if this one starts or frees others later. NULL
 * does nothing. Since 0.1.
 */
void carrick_process_free(struct carrick_process *process);

/**
 * Fills queue options with the defaults.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_queue_options_init(struct carrick_queue_options *out_options);

/**
 * Makes an empty queue. options may be NULL (no limits). out_queue is OWNED.
 * Codes: E_INVALID, E_VERSION, E_NOMEMORY, E_OS (EMFILE, ...), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_queue_new(const struct carrick_queue_options *options,
                                 struct carrick_queue **out_queue);

/**
 * Makes an empty queue with a name: 1 to 200 letters, digits and any of '.', '_', '-', the first one not '.'. Other
 * programs of the same user open it (carrick_name_open, carrick_queue_attach) until carrick_name_remove. options may be
 * NULL (no limits). out_queue is OWNED.
 * Codes: E_INVALID, E_VERSION, E_STATE (options.selectable: what has a name has no bell), E_NOMEMORY (or /dev/shm is
 * full), E_OS (EEXIST: there is one of this name; EMFILE, ...), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_queue_create(const char *name,
                                    size_t name_len,
                                    const struct carrick_queue_options *options,
                                    struct carrick_queue **out_queue);

/**
 * The queue behind descriptors that came from another process, by inheritance or over a Unix socket: its own, and
 * bell_fd, or -1 where the queue has none (carrick_queue_bell_fd). The descriptors are CONSUMED. out_queue is OWNED.
 * Codes: E_INVALID (it is no queue, or one of another version; it needs a bell, or has none, or bell_fd is not one), E_NOMEMORY, E_OS (EBADF), E_NULL.
 * ANY thread. Since 0.1.
 */
carrick_status carrick_queue_attach(int32_t fd,
                                    int32_t bell_fd,
                                    struct carrick_queue **out_queue);

/**
 * The second descriptor to hand to another process, for a queue made selectable: BORROWED until the queue is freed.
 * Codes: E_STATE (the queue was not made selectable), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_queue_bell_fd(const struct carrick_queue *queue,
                                     int32_t *out_fd);

/**
 * A descriptor that is readable while an item is in the queue, for poll, epoll or a carrick_poller: BORROWED until the
 * queue is freed. Do not read from it.
 * Codes: E_STATE (the queue was not made selectable), E_CORRUPT, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_queue_event_fd(const struct carrick_queue *queue,
                                      int32_t *out_fd);

/**
 * The descriptor to hand to another process: BORROWED until the queue is freed. It is close-on-exec.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_queue_fd(const struct carrick_queue *queue, int32_t *out_fd);

/**
 * Puts an item at the end, waiting for room. After an error nothing was put.
 * Codes: E_FULL (only with timeout 0), E_TIMEOUT, E_CLOSED, E_FRAME_TOO_LARGE (over max_bytes), E_NOMEMORY,
 * E_INTERRUPTED, E_CORRUPT, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_queue_put(const struct carrick_queue *queue,
                                 const uint8_t *data,
                                 size_t data_len,
                                 int64_t timeout_ns);

/**
 * Puts one item whose body is the slices one after the other.
 * Codes: as carrick_queue_put. ANY thread. Since 0.1.
 */
carrick_status carrick_queue_put_vectored(const struct carrick_queue *queue,
                                          const struct carrick_slice *parts,
                                          size_t parts_len,
                                          int64_t timeout_ns);

/**
 * Takes the item at the beginning, waiting for one, into memory of the library: *out_data is OWNED, free it with
 * carrick_bytes_free. After an error nothing was taken.
 * Codes: E_EMPTY (only with timeout 0), E_TIMEOUT, E_CLOSED (and empty), E_NOMEMORY, E_INTERRUPTED, E_REENTRANT (from the
 * reader of an item in place), E_CORRUPT, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_queue_get(const struct carrick_queue *queue,
                                 int64_t timeout_ns,
                                 uint8_t **out_data,
                                 size_t *out_len);

/**
 * Takes the item at the beginning into the caller's memory.
 * Codes: as carrick_queue_get, and E_BUFFER (out_len has the length needed; the item stays). ANY thread. Since 0.1.
 */
carrick_status carrick_queue_get_into(const struct carrick_queue *queue,
                                      uint8_t *buffer,
                                      size_t buffer_cap,
                                      int64_t timeout_ns,
                                      size_t *out_len);

/**
 * Takes the item at the beginning without copying it: reader has it where it lies, and it is taken when reader returns. If
 * the process is killed before, the item is the next consumer's. Producers go on meanwhile, while there is room. Where it
 * forks, the child has the same item, and the parent is the one that takes it. All who
 * have the queue must use it by the library alone. user_data may be NULL.
 * Codes: as carrick_queue_get. ANY thread. Since 0.1.
 */
carrick_status carrick_queue_get_in_place(const struct carrick_queue *queue,
                                          carrick_item_reader_fn reader,
                                          void *user_data,
                                          int64_t timeout_ns);

/**
 * Puts items, one for each slice, waiting for room until the timeout, which is for all of them. out_count is how many were
 * put, those at the beginning, and is written after an error about an item, too. Items of other producers may come
 * between. A process that is killed in it has put a number of them, from the first one on.
 * Codes: as carrick_queue_put, about the first item that was not put. ANY thread. Since 0.1.
 */
carrick_status carrick_queue_put_many(const struct carrick_queue *queue,
                                      const struct carrick_slice *items,
                                      size_t items_len,
                                      int64_t timeout_ns,
                                      size_t *out_count);

/**
 * Takes what is in the queue, at most max_items, waiting until the timeout for the first one only, and then calls each
 * for one after the other, in their order. out_count is how many. They are copies, in memory of the library, and in this
 * process's hands: if it is killed they may all be gone. user_data may be NULL. With max_items 0 it takes none, at once.
 * Codes: as carrick_queue_get; what stands in the way of a later item is the code of the next call. ANY thread. Since 0.1.
 */
carrick_status carrick_queue_get_many(const struct carrick_queue *queue,
                                      size_t max_items,
                                      int64_t timeout_ns,
                                      carrick_item_fn each,
                                      void *user_data,
                                      size_t *out_count);

/**
 * How many items are in the queue, at this moment.
 * Codes: E_CORRUPT, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_queue_len(const struct carrick_queue *queue, uint64_t *out_count);

/**
 * The bytes of the bodies in the queue, at this moment.
 * Codes: E_CORRUPT, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_queue_bytes(const struct carrick_queue *queue, uint64_t *out_count);

/**
 * How many items were put for which carrick_queue_task_done has not been called yet.
 * Codes: E_CORRUPT, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_queue_unfinished(const struct carrick_queue *queue, uint64_t *out_count);

/**
 * Says that a taker is done with an item.
 * Codes: E_INVALID (called more often than items were put), E_CORRUPT, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_queue_task_done(const struct carrick_queue *queue);

/**
 * Waits until carrick_queue_task_done has been called for every item that was put.
 * Codes: E_WOULD_BLOCK (only with timeout 0), E_TIMEOUT, E_INTERRUPTED, E_CORRUPT, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_queue_join(const struct carrick_queue *queue,
                                  int64_t timeout_ns);

/**
 * Ends the queue in every process that has it: nothing more is put, what is in it may still be taken, then getting
 * gives E_CLOSED. Wakes all who wait. Does nothing the second time.
 * Codes: E_REENTRANT (from the reader of an item in place), E_CORRUPT, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_queue_close(const struct carrick_queue *queue);

/**
 * Frees this process's handle of a queue; its items stay for the others. NULL does nothing. Nobody else may be inside
 * a call on it. Since 0.1.
 */
void carrick_queue_free(struct carrick_queue *queue);

/**
 * Sends a frame back. A request may have no reply or several; they leave when the handler returns.
 * Codes: E_FRAME_TOO_LARGE, E_NULL. ONE thread. Since 0.1.
 */
carrick_status carrick_request_reply(const struct carrick_request *request,
                                     const uint8_t *data,
                                     size_t data_len);

/**
 * Sends back one frame whose body is the slices one after the other.
 * Codes: E_FRAME_TOO_LARGE, E_NULL. ONE thread. Since 0.1.
 */
carrick_status carrick_request_reply_vectored(const struct carrick_request *request,
                                              const struct carrick_slice *parts,
                                              size_t parts_len);

/**
 * Writes where the client is as text, without a final zero.
 * Codes: E_BUFFER (out_len has the length needed), E_NULL. ONE thread. Since 0.1.
 */
carrick_status carrick_request_peer(const struct carrick_request *request,
                                    char *buffer,
                                    size_t buffer_cap,
                                    size_t *out_len);

/**
 * A number for the connection, different from that of every other open one.
 * Codes: E_NULL. ONE thread. Since 0.1.
 */
carrick_status carrick_request_connection(const struct carrick_request *request, uint64_t *out_number);

/**
 * Ends the connection after the replies have been sent.
 * Codes: E_NULL. ONE thread. Since 0.1.
 */
carrick_status carrick_request_close(const struct carrick_request *request);

/**
 * Makes a semaphore with value units that never has more than max_value (at most CARRICK_SEMAPHORE_MAX). out_semaphore is
 * OWNED.
 * Codes: E_INVALID (value over max_value, or that over the limit), E_NOMEMORY, E_OS (EMFILE, ...), E_NULL. ANY thread.
 * Since 0.1.
 */
carrick_status carrick_semaphore_new(uint32_t value,
                                     uint32_t max_value,
                                     struct carrick_semaphore **out_semaphore);

/**
 * Makes a semaphore as carrick_semaphore_new does, with a name: 1 to 200 letters, digits and any of '.', '_', '-', the first one not '.'. Other
 * programs of the same user open it (carrick_name_open, carrick_semaphore_attach) until carrick_name_remove.
 * out_semaphore is OWNED.
 * Codes: E_INVALID (as carrick_semaphore_new, or no such name is possible), E_NOMEMORY (or /dev/shm is full), E_OS (EEXIST: there is one of this name; EMFILE, ...), E_NULL.
 * ANY thread. Since 0.1.
 */
carrick_status carrick_semaphore_create(const char *name,
                                        size_t name_len,
                                        uint32_t value,
                                        uint32_t max_value,
                                        struct carrick_semaphore **out_semaphore);

/**
 * The semaphore that another process made: what its carrick_semaphore_place gave. fd is BORROWED
 * for the call, for many share one. out_semaphore is OWNED.
 * Codes: E_INVALID (something else is there, or one of another version), E_CORRUPT, E_NOMEMORY, E_OS (EBADF), E_NULL.
 * ANY thread. Since 0.1.
 */
carrick_status carrick_semaphore_attach(int32_t fd,
                                        uint32_t slot,
                                        struct carrick_semaphore **out_semaphore);

/**
 * The place of the semaphore for carrick_semaphore_attach in another process: a descriptor, BORROWED until the
 * semaphore is freed, to be inherited or sent over a Unix socket, and a number. Many share a descriptor. It is
 * close-on-exec.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_semaphore_place(const struct carrick_semaphore *semaphore,
                                       int32_t *out_fd,
                                       uint32_t *out_slot);

/**
 * Takes a unit, waiting for one.
 * Codes: E_WOULD_BLOCK (only with timeout 0), E_TIMEOUT, E_INTERRUPTED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_semaphore_acquire(const struct carrick_semaphore *semaphore, int64_t timeout_ns);

/**
 * Gives count units at once.
 * Codes: E_INVALID (it would have more than it may have; nothing was given), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_semaphore_release(const struct carrick_semaphore *semaphore, uint32_t count);

/**
 * How many units there are, at this moment.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_semaphore_value(const struct carrick_semaphore *semaphore, uint32_t *out_value);

/**
 * Frees this process's handle of a semaphore; for others it goes on. NULL does nothing. Nobody else may be inside a call on
 * it. Since 0.1.
 */
void carrick_semaphore_free(struct carrick_semaphore *semaphore);

/**
 * Binds a server with a blocking handler per connection; options may be NULL. out_server is OWNED. user_data is
 * handed to the handler; drop_user_data is called with it at the end, but not if this call fails.
 * Codes: E_INVALID, E_VERSION, E_UNKNOWN_DIGEST, E_OS (EADDRINUSE, ...), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_stream_server_bind(const char *address,
                                          size_t address_len,
                                          const struct carrick_stream_server_options *options,
                                          carrick_stream_handler_fn handler,
                                          void *user_data,
                                          carrick_drop_fn drop_user_data,
                                          struct carrick_server **out_server);

/**
 * Binds an event-driven server of framed requests; options may be NULL. out_server is OWNED. user_data is handed to
 * the handler; drop_user_data is called with it at the end, but not if this call fails.
 * Codes: E_INVALID, E_VERSION, E_UNKNOWN_DIGEST, E_OS (EADDRINUSE, ...), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_message_server_bind(const char *address,
                                           size_t address_len,
                                           const struct carrick_message_server_options *options,
                                           carrick_message_handler_fn handler,
                                           void *user_data,
                                           carrick_drop_fn drop_user_data,
                                           struct carrick_server **out_server);

/**
 * Binds a server of datagrams of at most max_length bytes (0: 65,535). out_server is OWNED. user_data is handed to the
 * handler; drop_user_data is called with it at the end, but not if this call fails.
 * Codes: E_INVALID, E_OS (EADDRINUSE, ...), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_datagram_server_bind(const char *address,
                                            size_t address_len,
                                            size_t max_length,
                                            carrick_datagram_handler_fn handler,
                                            void *user_data,
                                            carrick_drop_fn drop_user_data,
                                            struct carrick_server **out_server);

/**
 * Serves on the calling thread until the server is shut down.
 * Codes: E_STATE (it serves or has served), E_TIMEOUT (a handler has not returned by the drain deadline), E_FORKED,
 * E_OS, E_NULL. ANY thread, once. Since 0.1.
 */
carrick_status carrick_server_serve(const struct carrick_server *server);

/**
 * Serves on a thread of its own; carrick_server_wait tells how it ended.
 * Codes: E_STATE, E_FORKED, E_OS (no thread can be had), E_NULL. ANY thread, once. Since 0.1.
 */
carrick_status carrick_server_start(const struct carrick_server *server);

/**
 * Shuts down and waits for the end: what runs may finish within timeout_ns, then it is cut off. A server that never
 * served is shut down at once.
 * Codes: E_TIMEOUT (a handler did not return although its connection was closed), E_REENTRANT (in a handler of this
 * server), E_FORKED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_server_shutdown(const struct carrick_server *server,
                                       int64_t timeout_ns);

/**
 * Begins the shutdown and returns at once. ANY thread; safe in a signal handler and in a server's own handler, with a
 * server that is not freed meanwhile.
 * Codes: E_FORKED, E_NULL. Since 0.1.
 */
carrick_status carrick_server_request_shutdown(const struct carrick_server *server);

/**
 * Cuts everything off at once and returns without waiting for the end.
 * Codes: E_FORKED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_server_abort(const struct carrick_server *server);

/**
 * Waits until serving has ended. With a server that was started it returns how it ended.
 * Codes: E_TIMEOUT, E_STATE (it was never started), E_REENTRANT (in a handler of this server), E_FORKED, E_NULL.
 * ANY thread. Since 0.1.
 */
carrick_status carrick_server_wait(const struct carrick_server *server,
                                   int64_t timeout_ns);

/**
 * Writes where the server listens as text, without a final zero; the port is the one the kernel chose for 0.
 * Codes: E_BUFFER (out_len has the length needed), E_FORKED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_server_address(const struct carrick_server *server,
                                      char *buffer,
                                      size_t buffer_cap,
                                      size_t *out_len);

/**
 * Writes up to stats_cap counters, each at its CARRICK_STATS_... place: connections accepted, connections open now,
 * connections rejected, requests handled,
 * bytes received, bytes sent, handlers that failed, failed authentications, connections cut off for breaking a limit,
 * failures of accept, nanoseconds spent in handlers. Later versions may have more. out_count is how many were written.
 * Codes: E_FORKED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_server_stats(const struct carrick_server *server,
                                    uint64_t *stats,
                                    size_t stats_cap,
                                    size_t *out_count);

/**
 * Writes the name of a counter of carrick_server_stats, without a final zero.
 * Codes: E_INVALID (no such counter), E_BUFFER, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_stats_name(size_t index, char *buffer, size_t buffer_cap, size_t *out_len);

/**
 * Frees a server. One that still serves on a thread of its own is cut off and waited for; in a child of fork it is
 * only forgotten. NULL does nothing; nor does a call in a handler of this server, which carrick_last_error tells (call
 * carrick_server_request_shutdown there and free it elsewhere). Nobody else may be inside. Since 0.1.
 */
void carrick_server_free(struct carrick_server *server);

/**
 * Fills the options with the defaults.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_stream_server_options_init(struct carrick_stream_server_options *out_options);

/**
 * Fills the options with the defaults.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_message_server_options_init(struct carrick_message_server_options *out_options);

/**
 * The stream of the connection: BORROWED until the handler returns; do not free it.
 * Codes: E_NULL. ONE thread. Since 0.1.
 */
carrick_status carrick_session_stream(const struct carrick_session *session,
                                      const struct carrick_stream **out_stream);

/**
 * Writes where the client is as text, without a final zero.
 * Codes: E_BUFFER (out_len has the length needed), E_NULL. ONE thread. Since 0.1.
 */
carrick_status carrick_session_peer(const struct carrick_session *session,
                                    char *buffer,
                                    size_t buffer_cap,
                                    size_t *out_len);

/**
 * Tells the server whose handler runs on this thread that the handler is about to block on something that is not
 * carrick's, so that others are served at once; without it the server finds out within some milliseconds. Outside a
 * handler it does nothing. ANY thread. Since 0.1.
 */
void carrick_about_to_block(void);

/**
 * Connects to an address such as "127.0.0.1:9000", "[::1]:9000", "unix:/path" or "unix:@abstract". TCP
 * connections have TCP_NODELAY set. out_stream is OWNED: free it with carrick_stream_free.
 * Codes: E_INVALID (address), E_TIMEOUT, E_OS (ECONNREFUSED, ...), E_INTERRUPTED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_stream_connect(const char *address,
                                      size_t address_len,
                                      int64_t timeout_ns,
                                      struct carrick_stream **out_stream);

/**
 * Makes two connected streams. Both are OWNED.
 * Codes: E_OS (EMFILE), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_stream_pair(struct carrick_stream **out_left, struct carrick_stream **out_right);

/**
 * Adopts a descriptor: a connected socket, a pipe end, a terminal. The descriptor is CONSUMED and the
 * stream has a duplicate of it; out_stream is OWNED.
 * Codes: E_INVALID (negative), E_OS (EBADF), E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_stream_from_fd(int32_t fd, struct carrick_stream **out_stream);

/**
 * Sends what the kernel takes of data, at least one byte unless data_len is 0.
 * Codes: E_TIMEOUT, E_WOULD_BLOCK, E_CLOSED, E_INTERRUPTED, E_OS (EPIPE: the peer has closed), E_NULL.
 * ANY thread. Since 0.1.
 */
carrick_status carrick_stream_send(const struct carrick_stream *stream,
                                   const uint8_t *data,
                                   size_t data_len,
                                   int64_t timeout_ns,
                                   size_t *out_sent);

/**
 * Sends all of data. After an error an unknown part of it has been sent.
 * Codes: as carrick_stream_send. ANY thread. Since 0.1.
 */
carrick_status carrick_stream_send_all(const struct carrick_stream *stream,
                                       const uint8_t *data,
                                       size_t data_len,
                                       int64_t timeout_ns);

/**
 * Receives what is there, at least one byte; out_len 0 is the end of the stream.
 * Codes: E_TIMEOUT, E_WOULD_BLOCK, E_CLOSED, E_INTERRUPTED, E_OS, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_stream_recv(const struct carrick_stream *stream,
                                   uint8_t *buffer,
                                   size_t buffer_cap,
                                   int64_t timeout_ns,
                                   size_t *out_len);

/**
 * Ends one or both directions (CARRICK_SHUTDOWN_...); the descriptor stays open.
 * Codes: E_INVALID, E_OS (ENOTCONN), E_CLOSED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_stream_shutdown(const struct carrick_stream *stream, int32_t how);

/**
 * Waits until something can be received or the stream has ended; out_ready is 0 when the time passed.
 * Codes: E_CLOSED, E_INTERRUPTED, E_OS, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_stream_wait_readable(const struct carrick_stream *stream,
                                            int64_t timeout_ns,
                                            int32_t *out_ready);

/**
 * Writes the address of the other end as text, without a final zero.
 * Codes: E_BUFFER (out_len has the length needed), E_OS (ENOTCONN), E_CLOSED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_stream_peer_address(const struct carrick_stream *stream,
                                           char *buffer,
                                           size_t buffer_cap,
                                           size_t *out_len);

/**
 * Gives the descriptor to the caller, OWNED, without closing it; the stream is closed from here on and still
 * has to be freed.
 * Codes: E_STATE (a call is inside), E_CLOSED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_stream_release_fd(const struct carrick_stream *stream, int32_t *out_fd);

/**
 * Sets an option (CARRICK_OPTION_...).
 * Codes: E_INVALID (unknown option, bad value), E_OS, E_CLOSED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_stream_set_option(const struct carrick_stream *stream, int32_t option, int64_t value);

/**
 * Reads an option (CARRICK_OPTION_...).
 * Codes: E_INVALID (unknown option), E_OS, E_CLOSED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_stream_get_option(const struct carrick_stream *stream,
                                         int32_t option,
                                         int64_t *out_value);

/**
 * Writes the address of this end as text, without a final zero.
 * Codes: E_BUFFER (out_len has the length needed), E_OS, E_CLOSED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_stream_local_address(const struct carrick_stream *stream,
                                            char *buffer,
                                            size_t buffer_cap,
                                            size_t *out_len);

/**
 * The number of the descriptor, for polling by other means: BORROWED until close.
 * Codes: E_CLOSED, E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_stream_fd(const struct carrick_stream *stream, int32_t *out_fd);

/**
 * Closes; calls that wait on it in other threads end with CARRICK_E_CLOSED. Does nothing the second time.
 * Codes: E_NULL. ANY thread. Since 0.1.
 */
carrick_status carrick_stream_close(const struct carrick_stream *stream);

/**
 * Closes and frees. NULL does nothing. Nobody else may be inside a call on it: close first, then join them.
 * Since 0.1.
 */
void carrick_stream_free(struct carrick_stream *stream);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CARRICK_H */
