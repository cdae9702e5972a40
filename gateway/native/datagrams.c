/*
 * Datagrams in batches, for gateway/listen/batched-udp.ts: one recvmmsg and one call into JavaScript for all that has come, one sendmmsg for all that
 * leaves in a turn. README.md has how it is built.
 *
 * JavaScript and this file share four areas for each socket, ArrayBuffers that live as long as the socket:
 *
 *   inbox     SLOTS datagrams of SLOT_OCTETS each, written here
 *   arrivals  for each of them ROW numbers of 32 bits: length, port, the address in 4 (IPv4: in the first), one that is free
 *   outbox    octets of datagrams to send, written by JavaScript
 *   leavings  for each of them ROW numbers: length, port, the address, where in the outbox it begins
 *
 * Addresses are in network order, as they are in memory. Nothing that comes from the network is looked at here, only counted. All that comes from
 * JavaScript is checked against the areas' sizes.
 */
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#ifndef SOURCE_DIGEST
#define SOURCE_DIGEST "none"
#endif

/* Datagrams of one system call. */
#define SLOTS 64
/* More than any datagram has. */
#define SLOT_OCTETS 65536
/* Numbers of 32 bits that describe a datagram. */
#define ROW 7
/* Batches that one wake reads: TCP and the cells have their turn after so many. */
#define BATCHES_MAX 4

enum { AREA_INBOX, AREA_ARRIVALS, AREA_OUTBOX, AREA_LEAVINGS, AREAS };
enum { CALL_ARRIVED, CALL_WRITABLE, CALL_FAILED, CALLS };

typedef struct {
  napi_env env;
  uv_poll_t *poll;
  int fd;
  bool is_ipv6;
  bool is_closed;
  /* The handle of libuv and the object of JavaScript: it is freed when both have let go. */
  int holders;
  int events;
  napi_async_cleanup_hook_handle cleanup;
  napi_async_context context;
  napi_ref receiver; /* what calls are made on */
  napi_ref calls[CALLS];
  napi_ref area_refs[AREAS];
  uint8_t *areas[AREAS];
  size_t sizes[AREAS];
  struct mmsghdr headers[SLOTS];
  struct iovec vectors[SLOTS];
  struct sockaddr_storage addresses[SLOTS];
} Datagrams;

static const napi_type_tag type_tag = {0x7d3a9c1b5e2f4860ULL, 0x91c4e6d80a2b37f5ULL};

static void let_go(Datagrams *socket) {
  socket->holders -= 1;
  if (socket->holders == 0) free(socket);
}

static void drop_references(Datagrams *socket) {
  for (int i = 0; i < CALLS; i += 1)
    if (socket->calls[i] != NULL) napi_delete_reference(socket->env, socket->calls[i]);
  for (int i = 0; i < AREAS; i += 1)
    if (socket->area_refs[i] != NULL) napi_delete_reference(socket->env, socket->area_refs[i]);
  if (socket->receiver != NULL) napi_delete_reference(socket->env, socket->receiver);
  memset(socket->calls, 0, sizeof socket->calls);
  memset(socket->area_refs, 0, sizeof socket->area_refs);
  socket->receiver = NULL;
}

static void on_closed(uv_handle_t *handle) {
  Datagrams *socket = handle->data;
  free(handle);
  socket->poll = NULL;
  /* Not before: a call on it may have closed the socket. */
  if (socket->context != NULL) napi_async_destroy(socket->env, socket->context);
  socket->context = NULL;
  if (socket->cleanup != NULL) {
    napi_async_cleanup_hook_handle hook = socket->cleanup;
    socket->cleanup = NULL;
    napi_remove_async_cleanup_hook(hook);
  }
  let_go(socket);
}

/* Ends the socket; a second time does nothing. */
static void close_socket(Datagrams *socket) {
  if (socket->is_closed) return;
  socket->is_closed = true;
  uv_poll_stop(socket->poll);
  close(socket->fd);
  socket->fd = -1;
  drop_references(socket);
  uv_close((uv_handle_t *)socket->poll, on_closed);
}

/* The environment ends (a worker, a process). */
static void on_cleanup(napi_async_cleanup_hook_handle handle, void *data) {
  Datagrams *socket = data;
  (void)handle;
  close_socket(socket);
}

static void on_collected(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  Datagrams *socket = data;
  close_socket(socket);
  let_go(socket);
}

/* Calls a function of JavaScript as Node's own sockets do: what it planned for after it runs, and what it throws is nobody's here. */
static void call(Datagrams *socket, int which, int32_t number) {
  napi_env env = socket->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value self, function, argument, result;
  if (napi_get_reference_value(env, socket->receiver, &self) == napi_ok &&
      napi_get_reference_value(env, socket->calls[which], &function) == napi_ok && function != NULL && self != NULL &&
      napi_create_int32(env, number, &argument) == napi_ok &&
      napi_make_callback(env, socket->context, self, function, 1, &argument, &result) == napi_pending_exception) {
    napi_value exception;
    if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_fatal_exception(env, exception);
  }
  napi_close_handle_scope(env, scope);
}

static void note_arrival(Datagrams *socket, int slot, int32_t *row) {
  const struct sockaddr_storage *from = &socket->addresses[slot];
  const struct msghdr *header = &socket->headers[slot].msg_hdr;
  memset(row, 0, ROW * sizeof *row);
  /* One that was cut is no datagram; none has so many octets. */
  row[0] = (header->msg_flags & MSG_TRUNC) != 0 ? -1 : (int32_t)socket->headers[slot].msg_len;
  if (from->ss_family == AF_INET && header->msg_namelen >= sizeof(struct sockaddr_in)) {
    const struct sockaddr_in *address = (const struct sockaddr_in *)from;
    row[1] = ntohs(address->sin_port);
    memcpy(&row[2], &address->sin_addr, 4);
  } else if (from->ss_family == AF_INET6 && header->msg_namelen >= sizeof(struct sockaddr_in6)) {
    const struct sockaddr_in6 *address = (const struct sockaddr_in6 *)from;
    row[1] = ntohs(address->sin6_port);
    memcpy(&row[2], &address->sin6_addr, 16);
  } else {
    row[0] = -1;
  }
}

/* One batch into the inbox; how many, or -1 with errno. */
static int receive_batch(Datagrams *socket) {
  for (int i = 0; i < SLOTS; i += 1) {
    socket->vectors[i].iov_base = socket->areas[AREA_INBOX] + (size_t)i * SLOT_OCTETS;
    socket->vectors[i].iov_len = SLOT_OCTETS;
    memset(&socket->headers[i], 0, sizeof socket->headers[i]);
    socket->headers[i].msg_hdr.msg_iov = &socket->vectors[i];
    socket->headers[i].msg_hdr.msg_iovlen = 1;
    socket->headers[i].msg_hdr.msg_name = &socket->addresses[i];
    socket->headers[i].msg_hdr.msg_namelen = sizeof socket->addresses[i];
  }
  int count;
  do {
    count = recvmmsg(socket->fd, socket->headers, SLOTS, MSG_DONTWAIT, NULL);
  } while (count < 0 && errno == EINTR);
  int32_t *rows = (int32_t *)(void *)socket->areas[AREA_ARRIVALS];
  for (int i = 0; i < count; i += 1) note_arrival(socket, i, rows + (size_t)i * ROW);
  return count;
}

static void on_event(uv_poll_t *poll, int status, int events) {
  Datagrams *socket = poll->data;
  if (status < 0) {
    call(socket, CALL_FAILED, -status);
    return;
  }
  if ((events & UV_WRITABLE) != 0 && !socket->is_closed) call(socket, CALL_WRITABLE, 0);
  if ((events & UV_READABLE) == 0) return;
  /* Until nothing is left: what comes while others are looked at shares their turn, and their frame. What is called may close the socket. */
  for (int batch = 0; batch < BATCHES_MAX && !socket->is_closed; batch += 1) {
    int count = receive_batch(socket);
    if (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK) call(socket, CALL_FAILED, errno);
    if (count <= 0) return;
    call(socket, CALL_ARRIVED, count);
  }
}

static Datagrams *socket_of(napi_env env, napi_value value) {
  napi_valuetype type;
  bool is_ours = false;
  void *data = NULL;
  /* What is no object would make the next question throw. */
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_external) return NULL;
  if (napi_check_object_type_tag(env, value, &type_tag, &is_ours) != napi_ok || !is_ours) return NULL;
  if (napi_get_value_external(env, value, &data) != napi_ok) return NULL;
  Datagrams *socket = data;
  return socket->is_closed ? NULL : socket;
}

static napi_value int_of(napi_env env, int32_t number) {
  napi_value value = NULL;
  napi_create_int32(env, number, &value);
  return value;
}

/* One row of the leavings as an address of the system; false: it does not lie in the outbox. */
static bool prepare(Datagrams *socket, int slot, const int32_t *row) {
  size_t size = socket->sizes[AREA_OUTBOX];
  int32_t length = row[0];
  int32_t start = row[6];
  if (length < 0 || start < 0 || (size_t)length > size || (size_t)start > size - (size_t)length) return false;
  struct msghdr *header = &socket->headers[slot].msg_hdr;
  memset(&socket->headers[slot], 0, sizeof socket->headers[slot]);
  memset(&socket->addresses[slot], 0, sizeof socket->addresses[slot]);
  socket->vectors[slot].iov_base = socket->areas[AREA_OUTBOX] + start;
  socket->vectors[slot].iov_len = (size_t)length;
  header->msg_iov = &socket->vectors[slot];
  header->msg_iovlen = 1;
  header->msg_name = &socket->addresses[slot];
  if (socket->is_ipv6) {
    struct sockaddr_in6 *to = (struct sockaddr_in6 *)&socket->addresses[slot];
    to->sin6_family = AF_INET6;
    to->sin6_port = htons((uint16_t)row[1]);
    memcpy(&to->sin6_addr, &row[2], 16);
    header->msg_namelen = sizeof *to;
  } else {
    struct sockaddr_in *to = (struct sockaddr_in *)&socket->addresses[slot];
    to->sin_family = AF_INET;
    to->sin_port = htons((uint16_t)row[1]);
    memcpy(&to->sin_addr, &row[2], 4);
    header->msg_namelen = sizeof *to;
  }
  return true;
}

/* send(socket, first, end): sends rows of the leavings; how many have left, or the negative number of the error that the first of them met. */
static napi_value js_send(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  uint32_t first = 0, end = 0;
  if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) != napi_ok || argc < 3) return int_of(env, -EINVAL);
  Datagrams *socket = socket_of(env, argv[0]);
  if (socket == NULL) return int_of(env, -EBADF);
  if (napi_get_value_uint32(env, argv[1], &first) != napi_ok || napi_get_value_uint32(env, argv[2], &end) != napi_ok) return int_of(env, -EINVAL);
  size_t rows_max = socket->sizes[AREA_LEAVINGS] / (ROW * sizeof(int32_t));
  if (first > end || end > rows_max) return int_of(env, -EINVAL);
  const int32_t *rows = (const int32_t *)(const void *)socket->areas[AREA_LEAVINGS];
  uint32_t at = first;
  while (at < end) {
    int count = 0;
    while (count < SLOTS && at + (uint32_t)count < end && prepare(socket, count, rows + (size_t)(at + (uint32_t)count) * ROW)) count += 1;
    if (count == 0) return int_of(env, at == first ? -EINVAL : (int32_t)(at - first));
    int sent;
    do {
      sent = sendmmsg(socket->fd, socket->headers, (unsigned)count, MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) return int_of(env, at == first ? -errno : (int32_t)(at - first));
    at += (uint32_t)sent;
    if (sent < count) break;
  }
  return int_of(env, (int32_t)(at - first));
}

/* watch(socket, true): calls when there is room in the kernel to send. */
static napi_value js_watch(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  bool is_wanted = false;
  if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) != napi_ok || argc < 2) return int_of(env, -EINVAL);
  Datagrams *socket = socket_of(env, argv[0]);
  if (socket == NULL) return int_of(env, -EBADF);
  if (napi_get_value_bool(env, argv[1], &is_wanted) != napi_ok) return int_of(env, -EINVAL);
  return int_of(env, uv_poll_start(socket->poll, UV_READABLE | (is_wanted ? UV_WRITABLE : 0), on_event));
}

/* close(socket) */
static napi_value js_close(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) != napi_ok || argc < 1) return int_of(env, -EINVAL);
  Datagrams *socket = socket_of(env, argv[0]);
  if (socket == NULL) return int_of(env, -EBADF);
  close_socket(socket);
  return int_of(env, 0);
}

static int buffer_size(int fd, int option) {
  int size = 0;
  socklen_t length = sizeof size;
  return getsockopt(fd, SOL_SOCKET, option, &size, &length) < 0 ? -errno : size;
}

/* bound(socket): its port, and what the kernel gave for a receive buffer. */
static napi_value js_bound(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1], result;
  if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) != napi_ok || argc < 1) return NULL;
  Datagrams *socket = socket_of(env, argv[0]);
  if (socket == NULL) return NULL;
  struct sockaddr_storage bound;
  socklen_t length = sizeof bound;
  if (getsockname(socket->fd, (struct sockaddr *)&bound, &length) < 0) return NULL;
  int port = bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port : ((struct sockaddr_in *)&bound)->sin_port;
  if (napi_create_object(env, &result) != napi_ok) return NULL;
  napi_set_named_property(env, result, "port", int_of(env, ntohs((uint16_t)port)));
  napi_set_named_property(env, result, "receiveBufferOctets", int_of(env, buffer_size(socket->fd, SO_RCVBUF)));
  return result;
}

/* A socket that is bound to address and port, or the negative number of an error. */
static int bound_socket(bool is_ipv6, const char *address, uint16_t port, int buffer_octets) {
  struct sockaddr_storage local;
  memset(&local, 0, sizeof local);
  socklen_t length;
  if (is_ipv6) {
    struct sockaddr_in6 *to = (struct sockaddr_in6 *)&local;
    to->sin6_family = AF_INET6;
    to->sin6_port = htons(port);
    if (inet_pton(AF_INET6, address, &to->sin6_addr) != 1) return -EINVAL;
    length = sizeof *to;
  } else {
    struct sockaddr_in *to = (struct sockaddr_in *)&local;
    to->sin_family = AF_INET;
    to->sin_port = htons(port);
    if (inet_pton(AF_INET, address, &to->sin_addr) != 1) return -EINVAL;
    length = sizeof *to;
  }
  int fd = socket(local.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  int on = 1;
  /* The kernel gives what it may; nothing is lost when it gives less. */
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_octets, sizeof buffer_octets);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer_octets, sizeof buffer_octets);
  if ((is_ipv6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) || bind(fd, (struct sockaddr *)&local, length) < 0) {
    int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

/* True when the areas are ArrayBuffers of the sizes that this file writes to. They are kept until the socket is closed. */
static bool take_areas(Datagrams *socket, const napi_value *values) {
  for (int i = 0; i < AREAS; i += 1) {
    bool is_buffer = false;
    void *data = NULL;
    if (napi_is_arraybuffer(socket->env, values[i], &is_buffer) != napi_ok || !is_buffer) return false;
    if (napi_get_arraybuffer_info(socket->env, values[i], &data, &socket->sizes[i]) != napi_ok) return false;
    if (napi_create_reference(socket->env, values[i], 1, &socket->area_refs[i]) != napi_ok) return false;
    socket->areas[i] = data;
  }
  return socket->sizes[AREA_INBOX] >= (size_t)SLOTS * SLOT_OCTETS && socket->sizes[AREA_ARRIVALS] >= SLOTS * ROW * sizeof(int32_t) &&
         socket->sizes[AREA_OUTBOX] > 0 && socket->sizes[AREA_OUTBOX] <= INT32_MAX && socket->sizes[AREA_LEAVINGS] >= ROW * sizeof(int32_t);
}

static bool take_calls(Datagrams *socket, const napi_value *values) {
  napi_value self;
  for (int i = 0; i < CALLS; i += 1) {
    napi_valuetype type;
    if (napi_typeof(socket->env, values[i], &type) != napi_ok || type != napi_function) return false;
    if (napi_create_reference(socket->env, values[i], 1, &socket->calls[i]) != napi_ok) return false;
  }
  return napi_create_object(socket->env, &self) == napi_ok && napi_create_reference(socket->env, self, 1, &socket->receiver) == napi_ok;
}

/* Has libuv watch the descriptor; 0, or the negative number of an error. */
static int start_polling(Datagrams *socket) {
  uv_loop_t *loop;
  napi_value name;
  if (napi_get_uv_event_loop(socket->env, &loop) != napi_ok) return -EINVAL;
  if (napi_create_string_utf8(socket->env, "DATAGRAMS", NAPI_AUTO_LENGTH, &name) != napi_ok) return -ENOMEM;
  if (napi_async_init(socket->env, NULL, name, &socket->context) != napi_ok) return -ENOMEM;
  /* The size is that of the libuv that runs, which may not be the one of the headers. */
  uv_poll_t *poll = calloc(1, uv_handle_size(UV_POLL));
  if (poll == NULL) return -ENOMEM;
  int error = uv_poll_init(loop, poll, socket->fd);
  if (error != 0) {
    free(poll);
    return error;
  }
  socket->poll = poll;
  poll->data = socket;
  return uv_poll_start(poll, UV_READABLE, on_event);
}

/*
 * open(isIpv6, address, port, bufferOctets, inbox, arrivals, outbox, leavings, arrived, writable, failed): a socket, or the negative number of the
 * error that it met.
 */
static napi_value js_open(napi_env env, napi_callback_info info) {
  size_t argc = 4 + AREAS + CALLS;
  napi_value argv[4 + AREAS + CALLS], result;
  bool is_ipv6 = false;
  char address[64];
  size_t address_length = 0;
  uint32_t port = 0;
  int32_t buffer_octets = 0;
  if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) != napi_ok || argc < 4 + AREAS + CALLS) return int_of(env, -EINVAL);
  if (napi_get_value_bool(env, argv[0], &is_ipv6) != napi_ok ||
      napi_get_value_string_utf8(env, argv[1], address, sizeof address, &address_length) != napi_ok ||
      address_length >= sizeof address - 1 || napi_get_value_uint32(env, argv[2], &port) != napi_ok || port > 65535 ||
      napi_get_value_int32(env, argv[3], &buffer_octets) != napi_ok)
    return int_of(env, -EINVAL);
  Datagrams *socket = calloc(1, sizeof *socket);
  if (socket == NULL) return int_of(env, -ENOMEM);
  socket->env = env;
  socket->is_ipv6 = is_ipv6;
  int error = take_areas(socket, argv + 4) && take_calls(socket, argv + 4 + AREAS) ? 0 : -EINVAL;
  if (error == 0) {
    socket->fd = bound_socket(is_ipv6, address, (uint16_t)port, buffer_octets);
    error = socket->fd < 0 ? socket->fd : start_polling(socket);
    if (error != 0 && socket->fd >= 0 && socket->poll == NULL) close(socket->fd);
  }
  if (socket->poll == NULL) {
    drop_references(socket);
    if (socket->context != NULL) napi_async_destroy(env, socket->context);
    free(socket);
    return int_of(env, error);
  }
  /* From here on libuv has the socket, and closing it is asynchronous. */
  socket->holders = 1;
  if (error == 0 && napi_add_async_cleanup_hook(env, on_cleanup, socket, &socket->cleanup) != napi_ok) error = -ENOMEM;
  if (error == 0) {
    socket->holders = 2;
    if (napi_create_external(env, socket, on_collected, NULL, &result) != napi_ok) {
      socket->holders = 1;
      error = -ENOMEM;
    } else if (napi_type_tag_object(env, result, &type_tag) != napi_ok) {
      error = -ENOMEM;
    }
  }
  if (error == 0) return result;
  close_socket(socket);
  return int_of(env, error);
}

static bool offer(napi_env env, napi_value exports, const char *name, napi_callback function) {
  napi_value value;
  return napi_create_function(env, name, NAPI_AUTO_LENGTH, function, NULL, &value) == napi_ok &&
         napi_set_named_property(env, exports, name, value) == napi_ok;
}

NAPI_MODULE_INIT() {
  napi_value digest;
  if (napi_create_string_utf8(env, SOURCE_DIGEST, NAPI_AUTO_LENGTH, &digest) != napi_ok) return NULL;
  napi_set_named_property(env, exports, "sourceDigest", digest);
  napi_set_named_property(env, exports, "slots", int_of(env, SLOTS));
  napi_set_named_property(env, exports, "slotOctets", int_of(env, SLOT_OCTETS));
  napi_set_named_property(env, exports, "rowNumbers", int_of(env, ROW));
  if (!offer(env, exports, "open", js_open) || !offer(env, exports, "send", js_send) || !offer(env, exports, "watch", js_watch) ||
      !offer(env, exports, "close", js_close) || !offer(env, exports, "bound", js_bound))
    return NULL;
  return exports;
}
